/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-host.h */

typedef struct _virConnect virConnect;
typedef virConnect *virConnectPtr;

typedef struct _virStream virStream;
typedef virStream *virStreamPtr;

typedef struct _virSecurityLabel {
    char label[4097];
    int enforcing;
} virSecurityLabel;
typedef virSecurityLabel *virSecurityLabelPtr;

typedef struct _virSecurityModel {
    char model[257];
    char doi[257];
} virSecurityModel;
typedef virSecurityModel *virSecurityModelPtr;

typedef struct _virNodeInfo {
    char model[32];
    unsigned long memory;  /* KiB */
    unsigned int cpus;
    unsigned int mhz;      /* 0 if unknown */
    unsigned int nodes;
    unsigned int sockets;
    unsigned int cores;
    unsigned int threads;
} virNodeInfo;
typedef virNodeInfo *virNodeInfoPtr;

typedef struct _virNodeCPUStats {
    char field[80];
    unsigned long long value;  /* ns, or percent for "utilization" */
} virNodeCPUStats;
typedef virNodeCPUStats *virNodeCPUStatsPtr;

typedef struct _virNodeMemoryStats {
    char field[80];
    unsigned long long value;  /* KiB */
} virNodeMemoryStats;
typedef virNodeMemoryStats *virNodeMemoryStatsPtr;

/* Host parameters */
int virNodeGetMemoryParameters(virConnectPtr conn, virTypedParameterPtr params, int *nparams,
    unsigned int flags);
int virNodeSetMemoryParameters(virConnectPtr conn, virTypedParameterPtr params, int nparams,
    unsigned int flags);
int virNodeGetCPUMap(virConnectPtr conn, unsigned char **cpumap, unsigned int *online,
    unsigned int flags);

int virNodeGetSEVInfo(virConnectPtr conn, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);

/* Credentials */
typedef struct _virConnectCredential {
    int type;      /* virConnectCredentialType */
    const char *prompt;
    const char *challenge;
    const char *defresult;
    char *result;  /* the callback allocates it, libvirt frees it */
    unsigned int resultlen;
} virConnectCredential;
typedef virConnectCredential *virConnectCredentialPtr;

typedef int (*virConnectAuthCallbackPtr)(virConnectCredentialPtr cred, unsigned int ncred,
    void *cbdata);

typedef struct _virConnectAuth {
    int *credtype;  /* virConnectCredentialType */
    unsigned int ncredtype;
    virConnectAuthCallbackPtr cb;
    void *cbdata;
} virConnectAuth;
typedef virConnectAuth *virConnectAuthPtr;

extern virConnectAuthPtr virConnectAuthPtrDefault;

/* The library */
int virGetVersion(unsigned long *libVer, const char *type, unsigned long *typeVer);
int virInitialize(void);

/* Connections */
virConnectPtr virConnectOpen(const char *name);
virConnectPtr virConnectOpenReadOnly(const char *name);
virConnectPtr virConnectOpenAuth(const char *name, virConnectAuthPtr auth, unsigned int flags);
int virConnectRef(virConnectPtr conn);
int virConnectClose(virConnectPtr conn);
int virConnectSetIdentity(virConnectPtr conn, virTypedParameterPtr params, int nparams,
    unsigned int flags);
const char *virConnectGetType(virConnectPtr conn);
int virConnectGetVersion(virConnectPtr conn, unsigned long *hvVer);
int virConnectGetLibVersion(virConnectPtr conn, unsigned long *libVer);
char *virConnectGetHostname(virConnectPtr conn);
char *virConnectGetURI(virConnectPtr conn);
char *virConnectGetSysinfo(virConnectPtr conn, unsigned int flags);
int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned int count);

typedef void (*virConnectCloseFunc)(virConnectPtr conn, int reason, void *opaque);
int virConnectRegisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb, void *opaque,
    virFreeCallback freecb);
int virConnectUnregisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb);

/* The host */
int virConnectGetMaxVcpus(virConnectPtr conn, const char *type);
int virNodeGetInfo(virConnectPtr conn, virNodeInfoPtr info);
char *virConnectGetCapabilities(virConnectPtr conn);
int virNodeGetCPUStats(virConnectPtr conn, int cpuNum, virNodeCPUStatsPtr params, int *nparams,
    unsigned int flags);
int virNodeGetMemoryStats(virConnectPtr conn, int cellNum, virNodeMemoryStatsPtr params,
    int *nparams, unsigned int flags);
unsigned long long virNodeGetFreeMemory(virConnectPtr conn);
int virNodeGetSecurityModel(virConnectPtr conn, virSecurityModelPtr secmodel);
int virNodeSuspendForDuration(virConnectPtr conn, unsigned int target, unsigned long long duration,
    unsigned int flags);
int virNodeGetCellsFreeMemory(virConnectPtr conn, unsigned long long *freeMems, int startCell,
    int maxCells);

int virConnectIsEncrypted(virConnectPtr conn);
int virConnectIsSecure(virConnectPtr conn);
int virConnectIsAlive(virConnectPtr conn);

/* CPU models */
int virConnectCompareCPU(virConnectPtr conn, const char *xmlDesc, unsigned int flags);
int virConnectCompareHypervisorCPU(virConnectPtr conn, const char *emulator, const char *arch,
    const char *machine, const char *virttype, const char *xmlCPU, unsigned int flags);
int virConnectGetCPUModelNames(virConnectPtr conn, const char *arch, char ***models,
    unsigned int flags);
char *virConnectBaselineCPU(virConnectPtr conn, const char **xmlCPUs, unsigned int ncpus,
    unsigned int flags);
char *virConnectBaselineHypervisorCPU(virConnectPtr conn, const char *emulator, const char *arch,
    const char *machine, const char *virttype, const char **xmlCPUs, unsigned int ncpus,
    unsigned int flags);

/* Huge pages */
int virNodeGetFreePages(virConnectPtr conn, unsigned int npages, unsigned int *pages, int startCell,
    unsigned int cellCount, unsigned long long *counts, unsigned int flags);
int virNodeAllocPages(virConnectPtr conn, unsigned int npages, unsigned int *pageSizes,
    unsigned long long *pageCounts, int startCell, unsigned int cellCount, unsigned int flags);
