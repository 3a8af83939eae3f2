/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-admin.h */

typedef struct _virAdmConnect virAdmConnect;
typedef virAdmConnect *virAdmConnectPtr;

typedef struct _virAdmServer virAdmServer;
typedef virAdmServer *virAdmServerPtr;

typedef struct _virAdmClient virAdmClient;
typedef virAdmClient *virAdmClientPtr;

int virAdmInitialize(void);
virAdmConnectPtr virAdmConnectOpen(const char *name, unsigned int flags);
int virAdmConnectClose(virAdmConnectPtr conn);
int virAdmConnectRef(virAdmConnectPtr conn);
int virAdmConnectIsAlive(virAdmConnectPtr conn);

int virAdmServerFree(virAdmServerPtr srv);
int virAdmConnectListServers(virAdmConnectPtr conn, virAdmServerPtr **servers, unsigned int flags);

int virAdmGetVersion(unsigned long long *libVer);
char *virAdmConnectGetURI(virAdmConnectPtr conn);
int virAdmConnectGetLibVersion(virAdmConnectPtr conn, unsigned long long *libVer);

typedef void (*virAdmConnectCloseFunc)(virAdmConnectPtr conn, int reason, void *opaque);
int virAdmConnectRegisterCloseCallback(virAdmConnectPtr conn, virAdmConnectCloseFunc cb,
    void *opaque, virFreeCallback freecb);
int virAdmConnectUnregisterCloseCallback(virAdmConnectPtr conn, virAdmConnectCloseFunc cb);

/* Servers */
const char *virAdmServerGetName(virAdmServerPtr srv);
virAdmServerPtr virAdmConnectLookupServer(virAdmConnectPtr conn, const char *name,
    unsigned int flags);

int virAdmServerGetThreadPoolParameters(virAdmServerPtr srv, virTypedParameterPtr *params,
    int *nparams, unsigned int flags);
int virAdmServerSetThreadPoolParameters(virAdmServerPtr srv, virTypedParameterPtr params,
    int nparams, unsigned int flags);

/* Clients */
unsigned long long virAdmClientGetID(virAdmClientPtr client);
long long virAdmClientGetTimestamp(virAdmClientPtr client);
int virAdmClientGetTransport(virAdmClientPtr client);
int virAdmClientFree(virAdmClientPtr client);

int virAdmServerListClients(virAdmServerPtr srv, virAdmClientPtr **clients, unsigned int flags);
virAdmClientPtr virAdmServerLookupClient(virAdmServerPtr srv, unsigned long long id,
    unsigned int flags);

int virAdmClientGetInfo(virAdmClientPtr client, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);
int virAdmClientClose(virAdmClientPtr client, unsigned int flags);

int virAdmServerGetClientLimits(virAdmServerPtr srv, virTypedParameterPtr *params, int *nparams,
    unsigned int flags);
int virAdmServerSetClientLimits(virAdmServerPtr srv, virTypedParameterPtr params, int nparams,
    unsigned int flags);

int virAdmServerUpdateTlsFiles(virAdmServerPtr srv, unsigned int flags);

/* Logging */
int virAdmConnectGetLoggingOutputs(virAdmConnectPtr conn, char **outputs, unsigned int flags);
int virAdmConnectGetLoggingFilters(virAdmConnectPtr conn, char **filters, unsigned int flags);
int virAdmConnectSetLoggingOutputs(virAdmConnectPtr conn, const char *outputs, unsigned int flags);
int virAdmConnectSetLoggingFilters(virAdmConnectPtr conn, const char *filters, unsigned int flags);

/* The daemon */
/* since 8.6.0 */
int virAdmConnectSetDaemonTimeout(virAdmConnectPtr conn, unsigned int timeout, unsigned int flags);
/* end */

/* since 11.2.0 */
int virAdmConnectDaemonShutdown(virAdmConnectPtr conn, unsigned int flags);
/* end */
