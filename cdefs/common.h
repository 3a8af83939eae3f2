/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-common.h */

/* libc's: what libvirt hands over is freed with free, what it takes over comes from malloc. */
void *malloc(size_t size);
void free(void *ptr);

typedef void (*virFreeCallback)(void *opaque);

typedef struct _virTypedParameter {
    char field[80];
    int type;  /* virTypedParameterType */
    union {
        int i;
        unsigned int ui;
        long long l;
        unsigned long long ul;
        double d;
        char b;
        char *s;
    } value;
} virTypedParameter;
typedef virTypedParameter *virTypedParameterPtr;

/* Look one up by name */
virTypedParameterPtr virTypedParamsGet(virTypedParameterPtr params, int nparams, const char *name);
int virTypedParamsGetInt(virTypedParameterPtr params, int nparams, const char *name, int *value);
int virTypedParamsGetUInt(virTypedParameterPtr params, int nparams, const char *name,
    unsigned int *value);
int virTypedParamsGetLLong(virTypedParameterPtr params, int nparams, const char *name,
    long long *value);
int virTypedParamsGetULLong(virTypedParameterPtr params, int nparams, const char *name,
    unsigned long long *value);
int virTypedParamsGetDouble(virTypedParameterPtr params, int nparams, const char *name,
    double *value);
int virTypedParamsGetBoolean(virTypedParameterPtr params, int nparams, const char *name,
    int *value);
int virTypedParamsGetString(virTypedParameterPtr params, int nparams, const char *name,
    const char **value);

/* Append to an array that grows */
int virTypedParamsAddInt(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, int value);
int virTypedParamsAddUInt(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, unsigned int value);
int virTypedParamsAddLLong(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, long long value);
int virTypedParamsAddULLong(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, unsigned long long value);
int virTypedParamsAddDouble(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, double value);
int virTypedParamsAddBoolean(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, int value);
int virTypedParamsAddString(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, const char *value);
int virTypedParamsAddStringList(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, const char **values);
int virTypedParamsAddFromString(virTypedParameterPtr *params, int *nparams, int *maxparams,
    const char *name, int type, const char *value);

void virTypedParamsClear(virTypedParameterPtr params, int nparams);
void virTypedParamsFree(virTypedParameterPtr params, int nparams);
