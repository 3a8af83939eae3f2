/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-interface.h */

typedef struct _virInterface virInterface;
typedef virInterface *virInterfacePtr;

virConnectPtr virInterfaceGetConnect(virInterfacePtr iface);
int virConnectNumOfInterfaces(virConnectPtr conn);
int virConnectListInterfaces(virConnectPtr conn, char ** const names, int maxnames);
int virConnectNumOfDefinedInterfaces(virConnectPtr conn);
int virConnectListDefinedInterfaces(virConnectPtr conn, char ** const names, int maxnames);
int virConnectListAllInterfaces(virConnectPtr conn, virInterfacePtr **ifaces, unsigned int flags);
virInterfacePtr virInterfaceLookupByName(virConnectPtr conn, const char *name);
virInterfacePtr virInterfaceLookupByMACString(virConnectPtr conn, const char *macstr);

const char *virInterfaceGetName(virInterfacePtr iface);
const char *virInterfaceGetMACString(virInterfacePtr iface);
char *virInterfaceGetXMLDesc(virInterfacePtr iface, unsigned int flags);

virInterfacePtr virInterfaceDefineXML(virConnectPtr conn, const char *xml, unsigned int flags);
int virInterfaceUndefine(virInterfacePtr iface);
int virInterfaceCreate(virInterfacePtr iface, unsigned int flags);
int virInterfaceDestroy(virInterfacePtr iface, unsigned int flags);

int virInterfaceRef(virInterfacePtr iface);
int virInterfaceFree(virInterfacePtr iface);

/* Changes that can be rolled back */
int virInterfaceChangeBegin(virConnectPtr conn, unsigned int flags);
int virInterfaceChangeCommit(virConnectPtr conn, unsigned int flags);
int virInterfaceChangeRollback(virConnectPtr conn, unsigned int flags);

int virInterfaceIsActive(virInterfacePtr iface);
