/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-domain.h */

typedef struct _virDomain virDomain;
typedef virDomain *virDomainPtr;

typedef struct _virDomainControlInfo {
    unsigned int state;            /* virDomainControlState */
    unsigned int details;          /* virDomainControlErrorReason */
    unsigned long long stateTime;  /* ms */
} virDomainControlInfo;
typedef virDomainControlInfo *virDomainControlInfoPtr;

typedef struct _virDomainInfo {
    unsigned char state;         /* virDomainState */
    unsigned long maxMem;        /* KiB */
    unsigned long memory;        /* KiB */
    unsigned short nrVirtCpu;
    unsigned long long cpuTime;  /* ns */
} virDomainInfo;
typedef virDomainInfo *virDomainInfoPtr;

/* Scheduler */
int virDomainGetSchedulerParameters(virDomainPtr domain, virTypedParameterPtr params, int *nparams);
int virDomainGetSchedulerParametersFlags(virDomainPtr domain, virTypedParameterPtr params,
    int *nparams, unsigned int flags);
int virDomainSetSchedulerParameters(virDomainPtr domain, virTypedParameterPtr params, int nparams);
int virDomainSetSchedulerParametersFlags(virDomainPtr domain, virTypedParameterPtr params,
    int nparams, unsigned int flags);

/* Statistics */
typedef struct _virDomainBlockStats {
    long long rd_req;
    long long rd_bytes;
    long long wr_req;
    long long wr_bytes;
    long long errs;
} virDomainBlockStatsStruct;
typedef virDomainBlockStatsStruct *virDomainBlockStatsPtr;

typedef struct _virDomainInterfaceStats {
    long long rx_bytes;
    long long rx_packets;
    long long rx_errs;
    long long rx_drop;
    long long tx_bytes;
    long long tx_packets;
    long long tx_errs;
    long long tx_drop;
} virDomainInterfaceStatsStruct;
typedef virDomainInterfaceStatsStruct *virDomainInterfaceStatsPtr;

typedef struct _virDomainMemoryStat {
    int tag;  /* virDomainMemoryStatTags */
    unsigned long long val;
} virDomainMemoryStatStruct;
typedef virDomainMemoryStatStruct *virDomainMemoryStatPtr;

/* Migration */
virDomainPtr virDomainMigrate(virDomainPtr domain, virConnectPtr dconn, unsigned long flags,
    const char *dname, const char *uri, unsigned long bandwidth);
virDomainPtr virDomainMigrate2(virDomainPtr domain, virConnectPtr dconn, const char *dxml,
    unsigned long flags, const char *dname, const char *uri, unsigned long bandwidth);
virDomainPtr virDomainMigrate3(virDomainPtr domain, virConnectPtr dconn,
    virTypedParameterPtr params, unsigned int nparams, unsigned int flags);
int virDomainMigrateToURI(virDomainPtr domain, const char *duri, unsigned long flags,
    const char *dname, unsigned long bandwidth);
int virDomainMigrateToURI2(virDomainPtr domain, const char *dconnuri, const char *miguri,
    const char *dxml, unsigned long flags, const char *dname, unsigned long bandwidth);
int virDomainMigrateToURI3(virDomainPtr domain, const char *dconnuri, virTypedParameterPtr params,
    unsigned int nparams, unsigned int flags);
int virDomainMigrateGetMaxDowntime(virDomainPtr domain, unsigned long long *downtime,
    unsigned int flags);
int virDomainMigrateSetMaxDowntime(virDomainPtr domain, unsigned long long downtime,
    unsigned int flags);
int virDomainMigrateGetCompressionCache(virDomainPtr domain, unsigned long long *cacheSize,
    unsigned int flags);
int virDomainMigrateSetCompressionCache(virDomainPtr domain, unsigned long long cacheSize,
    unsigned int flags);
int virDomainMigrateSetMaxSpeed(virDomainPtr domain, unsigned long bandwidth, unsigned int flags);
int virDomainMigrateGetMaxSpeed(virDomainPtr domain, unsigned long *bandwidth, unsigned int flags);
int virDomainMigrateStartPostCopy(virDomainPtr domain, unsigned int flags);

/* Looking domains up */
char *virConnectGetDomainCapabilities(virConnectPtr conn, const char *emulatorbin, const char *arch,
    const char *machine, const char *virttype, unsigned int flags);
int virConnectListDomains(virConnectPtr conn, int *ids, int maxids);
int virConnectNumOfDomains(virConnectPtr conn);
virConnectPtr virDomainGetConnect(virDomainPtr dom);
virDomainPtr virDomainCreateXML(virConnectPtr conn, const char *xmlDesc, unsigned int flags);
virDomainPtr virDomainCreateXMLWithFiles(virConnectPtr conn, const char *xmlDesc,
    unsigned int nfiles, int *files, unsigned int flags);
virDomainPtr virDomainLookupByName(virConnectPtr conn, const char *name);
virDomainPtr virDomainLookupByID(virConnectPtr conn, int id);
virDomainPtr virDomainLookupByUUID(virConnectPtr conn, const unsigned char *uuid);
virDomainPtr virDomainLookupByUUIDString(virConnectPtr conn, const char *uuidstr);

/* Lifecycle */
int virDomainShutdown(virDomainPtr domain);
int virDomainShutdownFlags(virDomainPtr domain, unsigned int flags);
int virDomainReboot(virDomainPtr domain, unsigned int flags);
int virDomainReset(virDomainPtr domain, unsigned int flags);
int virDomainDestroy(virDomainPtr domain);
int virDomainDestroyFlags(virDomainPtr domain, unsigned int flags);

/* References */
int virDomainRef(virDomainPtr domain);
int virDomainFree(virDomainPtr domain);

int virDomainSuspend(virDomainPtr domain);
int virDomainResume(virDomainPtr domain);
int virDomainPMSuspendForDuration(virDomainPtr dom, unsigned int target,
    unsigned long long duration, unsigned int flags);
int virDomainPMWakeup(virDomainPtr dom, unsigned int flags);

/* Saved state */
int virDomainSave(virDomainPtr domain, const char *to);
int virDomainSaveFlags(virDomainPtr domain, const char *to, const char *dxml, unsigned int flags);
/* since 8.4.0 */
int virDomainSaveParams(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);
/* end */
int virDomainRestore(virConnectPtr conn, const char *from);
int virDomainRestoreFlags(virConnectPtr conn, const char *from, const char *dxml,
    unsigned int flags);
/* since 8.4.0 */
int virDomainRestoreParams(virConnectPtr conn, virTypedParameterPtr params, int nparams,
    unsigned int flags);
/* end */
char *virDomainSaveImageGetXMLDesc(virConnectPtr conn, const char *file, unsigned int flags);
int virDomainSaveImageDefineXML(virConnectPtr conn, const char *file, const char *dxml,
    unsigned int flags);

int virDomainManagedSave(virDomainPtr dom, unsigned int flags);
int virDomainHasManagedSaveImage(virDomainPtr dom, unsigned int flags);
int virDomainManagedSaveRemove(virDomainPtr dom, unsigned int flags);
char *virDomainManagedSaveGetXMLDesc(virDomainPtr domain, unsigned int flags);
int virDomainManagedSaveDefineXML(virDomainPtr domain, const char *dxml, unsigned int flags);

int virDomainCoreDump(virDomainPtr domain, const char *to, unsigned int flags);
int virDomainCoreDumpWithFormat(virDomainPtr domain, const char *to, unsigned int dumpformat,
    unsigned int flags);
char *virDomainScreenshot(virDomainPtr domain, virStreamPtr stream, unsigned int screen,
    unsigned int flags);

/* State */
int virDomainGetInfo(virDomainPtr domain, virDomainInfoPtr info);
int virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags);
int virDomainGetCPUStats(virDomainPtr domain, virTypedParameterPtr params, unsigned int nparams,
    int start_cpu, unsigned int ncpus, unsigned int flags);
int virDomainGetControlInfo(virDomainPtr domain, virDomainControlInfoPtr info, unsigned int flags);
char *virDomainGetSchedulerType(virDomainPtr domain, int *nparams);

/* Tuning */
int virDomainSetBlkioParameters(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);
int virDomainGetBlkioParameters(virDomainPtr domain, virTypedParameterPtr params, int *nparams,
    unsigned int flags);
int virDomainSetMemoryParameters(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);
int virDomainGetMemoryParameters(virDomainPtr domain, virTypedParameterPtr params, int *nparams,
    unsigned int flags);
int virDomainSetNumaParameters(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);
int virDomainGetNumaParameters(virDomainPtr domain, virTypedParameterPtr params, int *nparams,
    unsigned int flags);

/* Properties */
const char *virDomainGetName(virDomainPtr domain);
unsigned int virDomainGetID(virDomainPtr domain);
int virDomainGetUUID(virDomainPtr domain, unsigned char *uuid);
int virDomainGetUUIDString(virDomainPtr domain, char *buf);
char *virDomainGetOSType(virDomainPtr domain);
unsigned long virDomainGetMaxMemory(virDomainPtr domain);
int virDomainSetMaxMemory(virDomainPtr domain, unsigned long memory);
int virDomainSetMemory(virDomainPtr domain, unsigned long memory);
int virDomainSetMemoryFlags(virDomainPtr domain, unsigned long memory, unsigned int flags);
int virDomainSetMemoryStatsPeriod(virDomainPtr domain, int period, unsigned int flags);
int virDomainGetMaxVcpus(virDomainPtr domain);
int virDomainGetSecurityLabel(virDomainPtr domain, virSecurityLabelPtr seclabel);
char *virDomainGetHostname(virDomainPtr domain, unsigned int flags);
int virDomainGetSecurityLabelList(virDomainPtr domain, virSecurityLabelPtr *seclabels);

int virDomainSetMetadata(virDomainPtr domain, int type, const char *metadata, const char *key,
    const char *uri, unsigned int flags);
char *virDomainGetMetadata(virDomainPtr domain, int type, const char *uri, unsigned int flags);

/* XML */
char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags);
char *virConnectDomainXMLFromNative(virConnectPtr conn, const char *nativeFormat,
    const char *nativeConfig, unsigned int flags);
char *virConnectDomainXMLToNative(virConnectPtr conn, const char *nativeFormat,
    const char *domainXml, unsigned int flags);

/* Disks and network interfaces */
int virDomainBlockStats(virDomainPtr dom, const char *disk, virDomainBlockStatsPtr stats,
    size_t size);
int virDomainBlockStatsFlags(virDomainPtr dom, const char *disk, virTypedParameterPtr params,
    int *nparams, unsigned int flags);
int virDomainInterfaceStats(virDomainPtr dom, const char *device, virDomainInterfaceStatsPtr stats,
    size_t size);
int virDomainSetInterfaceParameters(virDomainPtr domain, const char *device,
    virTypedParameterPtr params, int nparams, unsigned int flags);
int virDomainGetInterfaceParameters(virDomainPtr domain, const char *device,
    virTypedParameterPtr params, int *nparams, unsigned int flags);
int virDomainBlockPeek(virDomainPtr dom, const char *disk, unsigned long long offset, size_t size,
    void *buffer, unsigned int flags);
int virDomainBlockResize(virDomainPtr dom, const char *disk, unsigned long long size,
    unsigned int flags);

typedef struct _virDomainBlockInfo {
    unsigned long long capacity;  /* bytes, as all that follow */
    unsigned long long allocation;
    unsigned long long physical;
} virDomainBlockInfo;
typedef virDomainBlockInfo *virDomainBlockInfoPtr;

int virDomainGetBlockInfo(virDomainPtr domain, const char *disk, virDomainBlockInfoPtr info,
    unsigned int flags);

/* Memory */
int virDomainMemoryStats(virDomainPtr dom, virDomainMemoryStatPtr stats, unsigned int nr_stats,
    unsigned int flags);
int virDomainMemoryPeek(virDomainPtr dom, unsigned long long start, size_t size, void *buffer,
    unsigned int flags);

/* Definition */
virDomainPtr virDomainDefineXML(virConnectPtr conn, const char *xml);
virDomainPtr virDomainDefineXMLFlags(virConnectPtr conn, const char *xml, unsigned int flags);
int virDomainUndefine(virDomainPtr domain);
int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags);

int virConnectNumOfDefinedDomains(virConnectPtr conn);
int virConnectListDefinedDomains(virConnectPtr conn, char ** const names, int maxnames);
int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **domains, unsigned int flags);

int virDomainCreate(virDomainPtr domain);
int virDomainCreateWithFlags(virDomainPtr domain, unsigned int flags);
int virDomainCreateWithFiles(virDomainPtr domain, unsigned int nfiles, int *files,
    unsigned int flags);

int virDomainGetAutostart(virDomainPtr domain, int *autostart);
int virDomainSetAutostart(virDomainPtr domain, int autostart);
/* since 11.2.0 */
int virDomainGetAutostartOnce(virDomainPtr domain, int *autostart);
int virDomainSetAutostartOnce(virDomainPtr domain, int autostart);
/* end */

/* CPUs */
typedef struct _virVcpuInfo {
    unsigned int number;
    int state;                   /* virVcpuState */
    unsigned long long cpuTime;  /* ns */
    int cpu;                     /* the host CPU it runs on, or virVcpuHostCpuState */
} virVcpuInfo;
typedef virVcpuInfo *virVcpuInfoPtr;

int virDomainSetVcpus(virDomainPtr domain, unsigned int nvcpus);
int virDomainSetVcpusFlags(virDomainPtr domain, unsigned int nvcpus, unsigned int flags);
int virDomainGetVcpusFlags(virDomainPtr domain, unsigned int flags);

int virDomainPinVcpu(virDomainPtr domain, unsigned int vcpu, unsigned char *cpumap, int maplen);
int virDomainPinVcpuFlags(virDomainPtr domain, unsigned int vcpu, unsigned char *cpumap, int maplen,
    unsigned int flags);
int virDomainGetVcpuPinInfo(virDomainPtr domain, int ncpumaps, unsigned char *cpumaps, int maplen,
    unsigned int flags);
int virDomainPinEmulator(virDomainPtr domain, unsigned char *cpumap, int maplen,
    unsigned int flags);
int virDomainGetEmulatorPinInfo(virDomainPtr domain, unsigned char *cpumap, int maplen,
    unsigned int flags);

/* I/O threads */
typedef struct _virDomainIOThreadInfo {
    unsigned int iothread_id;
    unsigned char *cpumap;
    int cpumaplen;
} virDomainIOThreadInfo;
typedef virDomainIOThreadInfo *virDomainIOThreadInfoPtr;

void virDomainIOThreadInfoFree(virDomainIOThreadInfoPtr info);
int virDomainGetIOThreadInfo(virDomainPtr dom, virDomainIOThreadInfoPtr **info, unsigned int flags);
int virDomainPinIOThread(virDomainPtr domain, unsigned int iothread_id, unsigned char *cpumap,
    int maplen, unsigned int flags);
int virDomainAddIOThread(virDomainPtr domain, unsigned int iothread_id, unsigned int flags);
int virDomainDelIOThread(virDomainPtr domain, unsigned int iothread_id, unsigned int flags);
int virDomainSetIOThreadParams(virDomainPtr domain, unsigned int iothread_id,
    virTypedParameterPtr params, int nparams, unsigned int flags);

/* CPUs, continued */
int virDomainGetVcpus(virDomainPtr domain, virVcpuInfoPtr info, int maxinfo, unsigned char *cpumaps,
    int maplen);

/* Devices */
int virDomainAttachDevice(virDomainPtr domain, const char *xml);
int virDomainDetachDevice(virDomainPtr domain, const char *xml);
int virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags);
int virDomainDetachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags);
int virDomainUpdateDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags);
int virDomainDetachDeviceAlias(virDomainPtr domain, const char *alias, unsigned int flags);

/* Bulk statistics */
typedef struct _virDomainStatsRecord {
    virDomainPtr dom;
    virTypedParameterPtr params;
    int nparams;
} virDomainStatsRecord;
typedef virDomainStatsRecord *virDomainStatsRecordPtr;

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned int stats,
    virDomainStatsRecordPtr **retStats, unsigned int flags);
int virDomainListGetStats(virDomainPtr *doms, unsigned int stats,
    virDomainStatsRecordPtr **retStats, unsigned int flags);
void virDomainStatsRecordListFree(virDomainStatsRecordPtr *stats);

/* Performance events */
int virDomainGetPerfEvents(virDomainPtr domain, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);
int virDomainSetPerfEvents(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);

/* Block jobs */
int virDomainBlockJobAbort(virDomainPtr dom, const char *disk, unsigned int flags);

typedef unsigned long long virDomainBlockJobCursor;

typedef struct _virDomainBlockJobInfo {
    int type;                 /* virDomainBlockJobType */
    unsigned long bandwidth;  /* MiB/s or B/s, as the flags say */
    virDomainBlockJobCursor cur;
    virDomainBlockJobCursor end;
} virDomainBlockJobInfo;
typedef virDomainBlockJobInfo *virDomainBlockJobInfoPtr;

int virDomainGetBlockJobInfo(virDomainPtr dom, const char *disk, virDomainBlockJobInfoPtr info,
    unsigned int flags);
int virDomainBlockJobSetSpeed(virDomainPtr dom, const char *disk, unsigned long bandwidth,
    unsigned int flags);
int virDomainBlockPull(virDomainPtr dom, const char *disk, unsigned long bandwidth,
    unsigned int flags);
int virDomainBlockRebase(virDomainPtr dom, const char *disk, const char *base,
    unsigned long bandwidth, unsigned int flags);
int virDomainBlockCopy(virDomainPtr dom, const char *disk, const char *destxml,
    virTypedParameterPtr params, int nparams, unsigned int flags);
int virDomainBlockCommit(virDomainPtr dom, const char *disk, const char *base, const char *top,
    unsigned long bandwidth, unsigned int flags);

/* Disk throttling */
int virDomainSetBlockIoTune(virDomainPtr dom, const char *disk, virTypedParameterPtr params,
    int nparams, unsigned int flags);
int virDomainGetBlockIoTune(virDomainPtr dom, const char *disk, virTypedParameterPtr params,
    int *nparams, unsigned int flags);

/* Disk errors */
typedef struct _virDomainDiskError {
    char *disk;
    int error;  /* virDomainDiskErrorCode */
} virDomainDiskError;
typedef virDomainDiskError *virDomainDiskErrorPtr;

int virDomainGetDiskErrors(virDomainPtr dom, virDomainDiskErrorPtr errors, unsigned int maxerrors,
    unsigned int flags);

/* Input */
int virDomainSendKey(virDomainPtr domain, unsigned int codeset, unsigned int holdtime,
    unsigned int *keycodes, int nkeycodes, unsigned int flags);
int virDomainSendProcessSignal(virDomainPtr domain, long long pid_value, unsigned int signum,
    unsigned int flags);

/* Deprecated */
virDomainPtr virDomainCreateLinux(virConnectPtr conn, const char *xmlDesc, unsigned int flags);

/* Lifecycle events, the old way */
typedef int (*virConnectDomainEventCallback)(virConnectPtr conn, virDomainPtr dom, int event,
    int detail, void *opaque);
int virConnectDomainEventRegister(virConnectPtr conn, virConnectDomainEventCallback cb,
    void *opaque, virFreeCallback freecb);
int virConnectDomainEventDeregister(virConnectPtr conn, virConnectDomainEventCallback cb);

int virDomainIsActive(virDomainPtr dom);
int virDomainIsPersistent(virDomainPtr dom);
int virDomainIsUpdated(virDomainPtr dom);

/* Domain jobs */
typedef struct _virDomainJobInfo {
    int type;                          /* virDomainJobType */
    unsigned long long timeElapsed;    /* ms */
    unsigned long long timeRemaining;  /* ms */
    unsigned long long dataTotal;      /* bytes, as all that follow */
    unsigned long long dataProcessed;
    unsigned long long dataRemaining;
    unsigned long long memTotal;
    unsigned long long memProcessed;
    unsigned long long memRemaining;
    unsigned long long fileTotal;
    unsigned long long fileProcessed;
    unsigned long long fileRemaining;
} virDomainJobInfo;
typedef virDomainJobInfo *virDomainJobInfoPtr;

int virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info);
int virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);
int virDomainAbortJob(virDomainPtr domain);
/* since 8.5.0 */
int virDomainAbortJobFlags(virDomainPtr domain, unsigned int flags);
/* end */

/* Events */
typedef void (*virConnectDomainEventGenericCallback)(virConnectPtr conn, virDomainPtr dom,
    void *opaque);
typedef void (*virConnectDomainEventRTCChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    long long utcoffset, void *opaque);
typedef void (*virConnectDomainEventWatchdogCallback)(virConnectPtr conn, virDomainPtr dom,
    int action, void *opaque);
typedef void (*virConnectDomainEventIOErrorCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *srcPath, const char *devAlias, int action, void *opaque);
typedef void (*virConnectDomainEventIOErrorReasonCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *srcPath, const char *devAlias, int action, const char *reason, void *opaque);

typedef struct _virDomainEventGraphicsAddress {
    int family;  /* virDomainEventGraphicsAddressType */
    char *node;
    char *service;
} virDomainEventGraphicsAddress;
typedef virDomainEventGraphicsAddress *virDomainEventGraphicsAddressPtr;

typedef struct _virDomainEventGraphicsSubjectIdentity {
    char *type;
    char *name;
} virDomainEventGraphicsSubjectIdentity;
typedef virDomainEventGraphicsSubjectIdentity *virDomainEventGraphicsSubjectIdentityPtr;

typedef struct _virDomainEventGraphicsSubject {
    int nidentity;
    virDomainEventGraphicsSubjectIdentityPtr identities;
} virDomainEventGraphicsSubject;
typedef virDomainEventGraphicsSubject *virDomainEventGraphicsSubjectPtr;

typedef void (*virConnectDomainEventGraphicsCallback)(virConnectPtr conn, virDomainPtr dom,
    int phase, const virDomainEventGraphicsAddress *local,
    const virDomainEventGraphicsAddress *remote, const char *authScheme,
    const virDomainEventGraphicsSubject *subject, void *opaque);
typedef void (*virConnectDomainEventBlockJobCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *disk, int type, int status, void *opaque);
typedef void (*virConnectDomainEventDiskChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *oldSrcPath, const char *newSrcPath, const char *devAlias, int reason, void *opaque);
typedef void (*virConnectDomainEventTrayChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *devAlias, int reason, void *opaque);
typedef void (*virConnectDomainEventPMWakeupCallback)(virConnectPtr conn, virDomainPtr dom,
    int reason, void *opaque);
typedef void (*virConnectDomainEventPMSuspendCallback)(virConnectPtr conn, virDomainPtr dom,
    int reason, void *opaque);
typedef void (*virConnectDomainEventBalloonChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    unsigned long long actual, void *opaque);
typedef void (*virConnectDomainEventPMSuspendDiskCallback)(virConnectPtr conn, virDomainPtr dom,
    int reason, void *opaque);
typedef void (*virConnectDomainEventDeviceRemovedCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *devAlias, void *opaque);
typedef void (*virConnectDomainEventDeviceAddedCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *devAlias, void *opaque);
typedef void (*virConnectDomainEventDeviceRemovalFailedCallback)(virConnectPtr conn,
    virDomainPtr dom, const char *devAlias, void *opaque);
/* since 12.4.0 */
typedef void (*virConnectDomainEventVcpuRemovedCallback)(virConnectPtr conn, virDomainPtr dom,
    unsigned int vcpuid, void *opaque);
/* end */
typedef void (*virConnectDomainEventMetadataChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    int type, const char *nsuri, void *opaque);
typedef void (*virConnectDomainEventMigrationIterationCallback)(virConnectPtr conn,
    virDomainPtr dom, int iteration, void *opaque);
typedef void (*virConnectDomainEventJobCompletedCallback)(virConnectPtr conn, virDomainPtr dom,
    virTypedParameterPtr params, int nparams, void *opaque);
typedef void (*virConnectDomainEventTunableCallback)(virConnectPtr conn, virDomainPtr dom,
    virTypedParameterPtr params, int nparams, void *opaque);
typedef void (*virConnectDomainEventAgentLifecycleCallback)(virConnectPtr conn, virDomainPtr dom,
    int state, int reason, void *opaque);
/* since 12.4.0 */
typedef void (*virConnectDomainEventChannelLifecycleCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *channelName, int state, int reason, void *opaque);
/* end */
typedef void (*virConnectDomainEventBlockThresholdCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *dev, const char *path, unsigned long long threshold, unsigned long long excess,
    void *opaque);
/* since 6.9.0 */
typedef void (*virConnectDomainEventMemoryFailureCallback)(virConnectPtr conn, virDomainPtr dom,
    int recipient, int action, unsigned int flags, void *opaque);
/* end */
/* since 7.9.0 */
typedef void (*virConnectDomainEventMemoryDeviceSizeChangeCallback)(virConnectPtr conn,
    virDomainPtr dom, const char *alias, unsigned long long size, void *opaque);
/* end */
/* since 11.2.0 */
typedef void (*virConnectDomainEventNICMACChangeCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *alias, const char *oldMAC, const char *newMAC, void *opaque);
/* end */

int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int eventID,
    virConnectDomainEventGenericCallback cb, void *opaque, virFreeCallback freecb);
int virConnectDomainEventDeregisterAny(virConnectPtr conn, int callbackID);

/* Consoles, channels, displays */
int virDomainOpenConsole(virDomainPtr dom, const char *dev_name, virStreamPtr st,
    unsigned int flags);
int virDomainOpenChannel(virDomainPtr dom, const char *name, virStreamPtr st, unsigned int flags);
int virDomainOpenGraphics(virDomainPtr dom, unsigned int idx, int fd, unsigned int flags);
int virDomainOpenGraphicsFD(virDomainPtr dom, unsigned int idx, unsigned int flags);

int virDomainInjectNMI(virDomainPtr domain, unsigned int flags);

/* Guest file systems */
int virDomainFSTrim(virDomainPtr dom, const char *mountPoint, unsigned long long minimum,
    unsigned int flags);
int virDomainFSFreeze(virDomainPtr dom, const char **mountpoints, unsigned int nmountpoints,
    unsigned int flags);
int virDomainFSThaw(virDomainPtr dom, const char **mountpoints, unsigned int nmountpoints,
    unsigned int flags);

typedef struct _virDomainFSInfo {
    char *mountpoint;
    char *name;
    char *fstype;
    size_t ndevAlias;
    char **devAlias;
} virDomainFSInfo;
typedef virDomainFSInfo *virDomainFSInfoPtr;

void virDomainFSInfoFree(virDomainFSInfoPtr info);
int virDomainGetFSInfo(virDomainPtr dom, virDomainFSInfoPtr **info, unsigned int flags);

/* Guest clock */
int virDomainGetTime(virDomainPtr dom, long long *seconds, unsigned int *nseconds,
    unsigned int flags);
int virDomainSetTime(virDomainPtr dom, long long seconds, unsigned int nseconds,
    unsigned int flags);

/* Old names of virTypedParameter */
typedef struct _virTypedParameter virSchedParameter;
typedef virSchedParameter *virSchedParameterPtr;
typedef struct _virTypedParameter virBlkioParameter;
typedef virBlkioParameter *virBlkioParameterPtr;
typedef struct _virTypedParameter virMemoryParameter;
typedef virMemoryParameter *virMemoryParameterPtr;

/* Guest addresses */
typedef struct _virDomainInterfaceIPAddress {
    int type;  /* virIPAddrType */
    char *addr;
    unsigned int prefix;
} virDomainIPAddress;
typedef virDomainIPAddress *virDomainIPAddressPtr;

typedef struct _virDomainInterface {
    char *name;
    char *hwaddr;
    unsigned int naddrs;
    virDomainIPAddressPtr addrs;
} virDomainInterface;
typedef virDomainInterface *virDomainInterfacePtr;

int virDomainInterfaceAddresses(virDomainPtr dom, virDomainInterfacePtr **ifaces,
    unsigned int source, unsigned int flags);
/* since 12.5.0 */
int virDomainAnnounceInterface(virDomainPtr dom, const char *device, virTypedParameterPtr params,
    int nparams, unsigned int flags);
/* end */
void virDomainInterfaceFree(virDomainInterfacePtr iface);

int virDomainSetUserPassword(virDomainPtr dom, const char *user, const char *password,
    unsigned int flags);

int virDomainRename(virDomainPtr dom, const char *new_name, unsigned int flags);

/* Guest CPUs */
int virDomainGetGuestVcpus(virDomainPtr domain, virTypedParameterPtr *params, unsigned int *nparams,
    unsigned int flags);
int virDomainSetGuestVcpus(virDomainPtr domain, const char *cpumap, int state, unsigned int flags);
int virDomainSetVcpu(virDomainPtr domain, const char *vcpumap, int state, unsigned int flags);

int virDomainSetBlockThreshold(virDomainPtr domain, const char *dev, unsigned long long threshold,
    unsigned int flags);

int virDomainSetLifecycleAction(virDomainPtr domain, unsigned int type, unsigned int action,
    unsigned int flags);

/* Launch security */
int virDomainGetLaunchSecurityInfo(virDomainPtr domain, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);
/* since 8.0.0 */
int virDomainSetLaunchSecurityState(virDomainPtr domain, virTypedParameterPtr params, int nparams,
    unsigned int flags);
/* end */

/* Guest agent */
int virDomainGetGuestInfo(virDomainPtr domain, unsigned int types, virTypedParameterPtr *params,
    int *nparams, unsigned int flags);
int virDomainAgentSetResponseTimeout(virDomainPtr domain, int timeout, unsigned int flags);

/* Backup */
int virDomainBackupBegin(virDomainPtr domain, const char *backupXML, const char *checkpointXML,
    unsigned int flags);
char *virDomainBackupGetXMLDesc(virDomainPtr domain, unsigned int flags);

/* since 6.10.0 */
int virDomainAuthorizedSSHKeysGet(virDomainPtr domain, const char *user, char ***keys,
    unsigned int flags);
int virDomainAuthorizedSSHKeysSet(virDomainPtr domain, const char *user, const char **keys,
    unsigned int nkeys, unsigned int flags);
/* end */

/* since 7.1.0 */
int virDomainGetMessages(virDomainPtr domain, char ***msgs, unsigned int flags);
/* end */
/* since 7.2.0 */
int virDomainStartDirtyRateCalc(virDomainPtr domain, int seconds, unsigned int flags);
/* end */
/* since 9.0.0 */
int virDomainFDAssociate(virDomainPtr domain, const char *name, unsigned int nfds, int *fds,
    unsigned int flags);
/* end */
/* since 10.2.0 */
int virDomainGraphicsReload(virDomainPtr domain, unsigned int type, unsigned int flags);
/* end */
/* since 11.2.0 */
int virDomainSetThrottleGroup(virDomainPtr dom, const char *group, virTypedParameterPtr params,
    int nparams, unsigned int flags);
int virDomainDelThrottleGroup(virDomainPtr dom, const char *group, unsigned int flags);
/* end */
