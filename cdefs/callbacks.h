/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only C functions that are implemented in Python. */

/* libvirt waits for their answer.  See pyvirt.auth. */
extern "Python+C" {
    int pv_py_auth(virConnectCredentialPtr cred, unsigned int ncred, void *cbdata);
}

/* For programs that implement libvirt's event loop themselves, or add callbacks to it.  See pyvirt.events.loop. */
extern "Python+C" {
    int pv_py_add_handle(int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback ff);
    void pv_py_update_handle(int watch, int events);
    int pv_py_remove_handle(int watch);
    int pv_py_add_timeout(int timeout, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff);
    void pv_py_update_timeout(int timer, int timeout);
    int pv_py_remove_timeout(int timer);
    void pv_py_handle(int watch, int fd, int events, void *opaque);
    void pv_py_timeout(int timer, void *opaque);
    void pv_py_forget(void *opaque);
}
