/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-secret.h */

typedef struct _virSecret virSecret;
typedef virSecret *virSecretPtr;

/* Looking secrets up */
virConnectPtr virSecretGetConnect(virSecretPtr secret);
int virConnectNumOfSecrets(virConnectPtr conn);
int virConnectListSecrets(virConnectPtr conn, char **uuids, int maxuuids);
int virConnectListAllSecrets(virConnectPtr conn, virSecretPtr **secrets, unsigned int flags);
virSecretPtr virSecretLookupByUUID(virConnectPtr conn, const unsigned char *uuid);
virSecretPtr virSecretLookupByUUIDString(virConnectPtr conn, const char *uuidstr);
virSecretPtr virSecretLookupByUsage(virConnectPtr conn, int usageType, const char *usageID);

virSecretPtr virSecretDefineXML(virConnectPtr conn, const char *xml, unsigned int flags);
int virSecretGetUUID(virSecretPtr secret, unsigned char *uuid);
int virSecretGetUUIDString(virSecretPtr secret, char *buf);
int virSecretGetUsageType(virSecretPtr secret);
const char *virSecretGetUsageID(virSecretPtr secret);
char *virSecretGetXMLDesc(virSecretPtr secret, unsigned int flags);

int virSecretSetValue(virSecretPtr secret, const unsigned char *value, size_t value_size,
    unsigned int flags);
unsigned char *virSecretGetValue(virSecretPtr secret, size_t *value_size, unsigned int flags);

int virSecretUndefine(virSecretPtr secret);
int virSecretRef(virSecretPtr secret);
int virSecretFree(virSecretPtr secret);

/* Events */
typedef void (*virConnectSecretEventGenericCallback)(virConnectPtr conn, virSecretPtr secret,
    void *opaque);
int virConnectSecretEventRegisterAny(virConnectPtr conn, virSecretPtr secret, int eventID,
    virConnectSecretEventGenericCallback cb, void *opaque, virFreeCallback freecb);
int virConnectSecretEventDeregisterAny(virConnectPtr conn, int callbackID);
typedef void (*virConnectSecretEventLifecycleCallback)(virConnectPtr conn, virSecretPtr secret,
    int event, int detail, void *opaque);
