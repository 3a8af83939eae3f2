/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The errors of this thread, kept apart from libvirt's own "last error".
 *
 * libvirt resets its last error at the start of every public call, and a Python finaliser may make such a call
 * (virDomainFree) between the call that failed and the code that asks why.  So a handler copies each error when
 * libvirt dispatches it, and the copy stays until it is taken.
 */

typedef struct pv_error {
    int code;   /* virErrorNumber */
    int domain; /* virErrorDomain */
    int level;  /* virErrorLevel */
    int int1;
    int int2;
    char *message; /* NULL where libvirt gave none, as are the next three */
    char *str1;
    char *str2;
    char *str3;
    struct pv_error *below; /* the one that nobody had taken when this one came */
} pv_error;

/* Install the handler.  Called once, at import; safe to call again. */
void pv_errors_install(void);

/* Hand over this thread's latest error, or NULL if there is none.  The caller frees it. */
pv_error *pv_error_take(void);
void pv_error_free(pv_error *error);

/*
 * Record that this build has no `function`, as if libvirt had said so.  Generated stubs call it.  The error domain is
 * then -1, which libvirt never uses: a driver that lacks a function says VIR_ERR_NO_SUPPORT too.
 */
void pv_error_unsupported(const char *function, const char *needed, const char *present);

/* virConnectOpenAuth, which prints to stderr, by way of libxml2, when it finds no file for the test driver. */
virConnectPtr pv_connect_open(const char *name, virConnectAuthPtr auth, unsigned int flags);

/* Leave no trace in this thread's error until it is called with -1: by finalisers, as those below. */
void pv_errors_mute(int by);

/*
 * Release one reference without leaving a trace in this thread's error: finalisers run anywhere, also between a
 * failing call and the code that asks why.
 */
void pv_release_connect(void *ptr);
void pv_release_domain(void *ptr);
void pv_release_domain_snapshot(void *ptr);
void pv_release_domain_checkpoint(void *ptr);
void pv_release_network(void *ptr);
void pv_release_network_port(void *ptr);
void pv_release_storage_pool(void *ptr);
void pv_release_storage_volume(void *ptr);
void pv_release_node_device(void *ptr);
void pv_release_interface(void *ptr);
void pv_release_secret(void *ptr);
void pv_release_nwfilter(void *ptr);
void pv_release_nwfilter_binding(void *ptr);
void pv_release_stream(void *ptr);
