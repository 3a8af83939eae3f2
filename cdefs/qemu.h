/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-qemu.h */

int virDomainQemuMonitorCommand(virDomainPtr domain, const char *cmd, char **result,
    unsigned int flags);
/* since 8.2.0 */
int virDomainQemuMonitorCommandWithFiles(virDomainPtr domain, const char *cmd,
    unsigned int ninfiles, int *infiles, unsigned int *noutfiles, int **outfiles, char **result,
    unsigned int flags);
/* end */

virDomainPtr virDomainQemuAttach(virConnectPtr conn, unsigned int pid_value, unsigned int flags);
char *virDomainQemuAgentCommand(virDomainPtr domain, const char *cmd, int timeout,
    unsigned int flags);

typedef void (*virConnectDomainQemuMonitorEventCallback)(virConnectPtr conn, virDomainPtr dom,
    const char *event, long long seconds, unsigned int micros, const char *details, void *opaque);
int virConnectDomainQemuMonitorEventRegister(virConnectPtr conn, virDomainPtr dom,
    const char *event, virConnectDomainQemuMonitorEventCallback cb, void *opaque,
    virFreeCallback freecb, unsigned int flags);
int virConnectDomainQemuMonitorEventDeregister(virConnectPtr conn, int callbackID);
