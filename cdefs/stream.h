/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt/libvirt-stream.h */

virStreamPtr virStreamNew(virConnectPtr conn, unsigned int flags);
int virStreamRef(virStreamPtr stream);

/* One buffer */
int virStreamSend(virStreamPtr stream, const char *data, size_t nbytes);
int virStreamRecv(virStreamPtr stream, char *data, size_t nbytes);
int virStreamRecvFlags(virStreamPtr stream, char *data, size_t nbytes, unsigned int flags);
int virStreamSendHole(virStreamPtr stream, long long length, unsigned int flags);
int virStreamRecvHole(virStreamPtr stream, long long *length, unsigned int flags);

/* The whole stream */
typedef int (*virStreamSourceFunc)(virStreamPtr st, char *data, size_t nbytes, void *opaque);
int virStreamSendAll(virStreamPtr stream, virStreamSourceFunc handler, void *opaque);
typedef int (*virStreamSourceHoleFunc)(virStreamPtr st, int *inData, long long *length,
    void *opaque);
typedef int (*virStreamSourceSkipFunc)(virStreamPtr st, long long length, void *opaque);
int virStreamSparseSendAll(virStreamPtr stream, virStreamSourceFunc handler,
    virStreamSourceHoleFunc holeHandler, virStreamSourceSkipFunc skipHandler, void *opaque);

typedef int (*virStreamSinkFunc)(virStreamPtr st, const char *data, size_t nbytes, void *opaque);
int virStreamRecvAll(virStreamPtr stream, virStreamSinkFunc handler, void *opaque);
typedef int (*virStreamSinkHoleFunc)(virStreamPtr st, long long length, void *opaque);
int virStreamSparseRecvAll(virStreamPtr stream, virStreamSinkFunc handler,
    virStreamSinkHoleFunc holeHandler, void *opaque);

/* Readiness */
typedef void (*virStreamEventCallback)(virStreamPtr stream, int events, void *opaque);
int virStreamEventAddCallback(virStreamPtr stream, int events, virStreamEventCallback cb,
    void *opaque, virFreeCallback ff);
int virStreamEventUpdateCallback(virStreamPtr stream, int events);
int virStreamEventRemoveCallback(virStreamPtr stream);

/* The end */
int virStreamFinish(virStreamPtr stream);
int virStreamAbort(virStreamPtr stream);
int virStreamFree(virStreamPtr stream);
