/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-nodedev.h */

typedef struct _virNodeDevice virNodeDevice;
typedef virNodeDevice *virNodeDevicePtr;

/* Looking devices up */
int virNodeNumOfDevices(virConnectPtr conn, const char *cap, unsigned int flags);
int virNodeListDevices(virConnectPtr conn, const char *cap, char ** const names, int maxnames,
    unsigned int flags);
int virConnectListAllNodeDevices(virConnectPtr conn, virNodeDevicePtr **devices,
    unsigned int flags);
virNodeDevicePtr virNodeDeviceLookupByName(virConnectPtr conn, const char *name);
virNodeDevicePtr virNodeDeviceLookupSCSIHostByWWN(virConnectPtr conn, const char *wwnn,
    const char *wwpn, unsigned int flags);

/* Properties */
const char *virNodeDeviceGetName(virNodeDevicePtr dev);
const char *virNodeDeviceGetParent(virNodeDevicePtr dev);
int virNodeDeviceNumOfCaps(virNodeDevicePtr dev);
int virNodeDeviceListCaps(virNodeDevicePtr dev, char ** const names, int maxnames);
char *virNodeDeviceGetXMLDesc(virNodeDevicePtr dev, unsigned int flags);

/* References */
int virNodeDeviceRef(virNodeDevicePtr dev);
int virNodeDeviceFree(virNodeDevicePtr dev);

/* Host drivers */
int virNodeDeviceDettach(virNodeDevicePtr dev);
int virNodeDeviceDetachFlags(virNodeDevicePtr dev, const char *driverName, unsigned int flags);
int virNodeDeviceReAttach(virNodeDevicePtr dev);
int virNodeDeviceReset(virNodeDevicePtr dev);

/* Lifecycle */
virNodeDevicePtr virNodeDeviceCreateXML(virConnectPtr conn, const char *xmlDesc,
    unsigned int flags);
int virNodeDeviceDestroy(virNodeDevicePtr dev);
/* since 7.3.0 */
virNodeDevicePtr virNodeDeviceDefineXML(virConnectPtr conn, const char *xmlDesc,
    unsigned int flags);
int virNodeDeviceUndefine(virNodeDevicePtr dev, unsigned int flags);
int virNodeDeviceCreate(virNodeDevicePtr dev, unsigned int flags);
/* end */
/* since 7.8.0 */
int virNodeDeviceSetAutostart(virNodeDevicePtr dev, int autostart);
int virNodeDeviceGetAutostart(virNodeDevicePtr dev, int *autostart);
int virNodeDeviceIsPersistent(virNodeDevicePtr dev);
int virNodeDeviceIsActive(virNodeDevicePtr dev);
/* end */
/* since 10.1.0 */
int virNodeDeviceUpdate(virNodeDevicePtr dev, const char *xmlDesc, unsigned int flags);
/* end */

/* Events */
typedef void (*virConnectNodeDeviceEventGenericCallback)(virConnectPtr conn, virNodeDevicePtr dev,
    void *opaque);
int virConnectNodeDeviceEventRegisterAny(virConnectPtr conn, virNodeDevicePtr dev, int eventID,
    virConnectNodeDeviceEventGenericCallback cb, void *opaque, virFreeCallback freecb);
int virConnectNodeDeviceEventDeregisterAny(virConnectPtr conn, int callbackID);
typedef void (*virConnectNodeDeviceEventLifecycleCallback)(virConnectPtr conn, virNodeDevicePtr dev,
    int event, int detail, void *opaque);
