/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The errors of each thread, kept apart from libvirt's own "last error".  Implemented in errors.c.
 *
 * libvirt resets its last error at the start of every public call, and a Python finaliser may make such a call
 * (virDomainFree) between a call that fails and the check of its result.  So a handler copies each error when libvirt
 * reports it, and the copy stays until it is taken.
 */

typedef struct pv_error {
    int code;   /* virErrorNumber */
    int domain; /* virErrorDomain */
    int level;  /* virErrorLevel */
    int int1;
    int int2;
    char *message; /* this and the next three are NULL where libvirt set none */
    char *str1;
    char *str2;
    char *str3;
    struct pv_error *below; /* the previous error of this thread, if it was not taken before this one came */
} pv_error;

/* Install the handler.  Called once, at import; calling it again has no effect. */
void pv_errors_install(void);

/* Return this thread's latest error, or NULL if there is none.  The caller frees it. */
pv_error *pv_error_take(void);
void pv_error_free(pv_error *error);

/*
 * Record that this build lacks `function`, as if libvirt had reported it.  The generated stubs call it.  The error
 * domain is -1, which libvirt never uses: VIR_ERR_NO_SUPPORT alone may also mean that a driver lacks the function.
 */
void pv_error_unsupported(const char *function, const char *needed, const char *present);

/* With 1: discard all errors of this thread from now on.  With -1: undo that.  Calls may nest. */
void pv_errors_mute(int by);
