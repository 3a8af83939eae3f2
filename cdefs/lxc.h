/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-lxc.h */

int virDomainLxcOpenNamespace(virDomainPtr domain, int **fdlist, unsigned int flags);
int virDomainLxcEnterNamespace(virDomainPtr domain, unsigned int nfdlist, int *fdlist,
    unsigned int *noldfdlist, int **oldfdlist, unsigned int flags);
int virDomainLxcEnterSecurityLabel(virSecurityModelPtr model, virSecurityLabelPtr label,
    virSecurityLabelPtr oldlabel, unsigned int flags);
int virDomainLxcEnterCGroup(virDomainPtr domain, unsigned int flags);
