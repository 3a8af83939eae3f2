/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only C functions whose bodies are Python: libvirt waits for their answer.  See pyvirt.auth. */

extern "Python+C" {
    int pv_py_auth(virConnectCredentialPtr cred, unsigned int ncred, void *cbdata);
}
