/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE          /* SEEK_DATA, fallocate */
#define _FILE_OFFSET_BITS 64 /* volumes are larger than 2 GiB on every machine */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "native_pump.h"

_Static_assert(sizeof(off_t) == sizeof(int64_t), "a position in a file has the size of libvirt's lengths");

struct pv_pump {
    int fd;
    _Atomic int64_t moved;
    atomic_bool cancelled;
    atomic_int failure;
};

pv_pump *pv_pump_new(int fd)
{
    pv_pump *pump = calloc(1, sizeof(*pump));
    if (pump != NULL)
        pump->fd = fd;
    return pump;
}

void pv_pump_free(pv_pump *pump)
{
    free(pump);
}

void pv_pump_cancel(pv_pump *pump)
{
    atomic_store(&pump->cancelled, true);
}

int64_t pv_pump_moved(const pv_pump *pump)
{
    return atomic_load(&pump->moved);
}

int pv_pump_errno(const pv_pump *pump)
{
    return atomic_load(&pump->failure);
}

/* libvirt reads errno after a callback has failed, and nothing else. */
static int fail(pv_pump *pump, int number)
{
    atomic_store(&pump->failure, number);
    errno = number;
    return -1;
}

static bool is_cancelled(const pv_pump *pump)
{
    return atomic_load(&pump->cancelled);
}

/* ---- from the stream to the file ---- */

static int write_all(pv_pump *pump, const char *data, size_t size)
{
    while (size > 0) {
        if (is_cancelled(pump))
            return fail(pump, ECANCELED);
        ssize_t n = write(pump->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(pump, errno);
        data += n;
        size -= (size_t)n;
        atomic_fetch_add(&pump->moved, n);
    }
    return 0;
}

static int take_data(virStreamPtr stream, const char *data, size_t size, void *opaque)
{
    pv_pump *pump = opaque;
    (void)stream;
    return write_all(pump, data, size) < 0 ? -1 : (int)size;
}

static int write_zeros(pv_pump *pump, int64_t length)
{
    static const char zeros[64 * 1024];
    while (length > 0) {
        size_t n = length < (int64_t)sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (write_all(pump, zeros, n) < 0)
            return -1;
        length -= (int64_t)n;
    }
    return 0;
}

/* Write a hole.  Old contents of the file must not remain there, and a pipe cannot have holes. */
static int take_hole(virStreamPtr stream, long long length, void *opaque)
{
    pv_pump *pump = opaque;
    struct stat status;
    (void)stream;
    if (is_cancelled(pump))
        return fail(pump, ECANCELED);
    off_t at = lseek(pump->fd, 0, SEEK_CUR);
    if (length < 0 || (at > 0 && length > INT64_MAX - at)) /* the length comes from the daemon, unchecked */
        return fail(pump, EFBIG);
    if (at < 0 || fstat(pump->fd, &status) < 0 || !S_ISREG(status.st_mode))
        return write_zeros(pump, length);
    if (at < status.st_size && fallocate(pump->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length) < 0)
        return write_zeros(pump, length);
    if (at + length > status.st_size && ftruncate(pump->fd, at + length) < 0)
        return fail(pump, errno);
    if (lseek(pump->fd, at + length, SEEK_SET) < 0)
        return fail(pump, errno);
    atomic_fetch_add(&pump->moved, length);
    return 0;
}

int pv_pump_receive(pv_pump *pump, virStreamPtr stream, int sparse)
{
    return sparse ? virStreamSparseRecvAll(stream, take_data, take_hole, pump)
                  : virStreamRecvAll(stream, take_data, pump);
}

/* ---- from the file to the stream ---- */

static int give_data(virStreamPtr stream, char *data, size_t size, void *opaque)
{
    pv_pump *pump = opaque;
    ssize_t n;
    (void)stream;
    do {
        if (is_cancelled(pump))
            return fail(pump, ECANCELED);
        n = read(pump->fd, data, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(pump, errno);
    atomic_fetch_add(&pump->moved, n);
    return (int)n;
}

/* Find out whether data or a hole comes next, and its length; at the end of the file it is a hole of length 0. */
static int look_ahead(virStreamPtr stream, int *in_data, long long *length, void *opaque)
{
    pv_pump *pump = opaque;
    struct stat status;
    (void)stream;
    if (is_cancelled(pump))
        return fail(pump, ECANCELED);
    off_t at = lseek(pump->fd, 0, SEEK_CUR);
    if (at < 0 || fstat(pump->fd, &status) < 0)
        return fail(pump, errno);
    off_t data = lseek(pump->fd, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return fail(pump, errno);
    off_t next = data < 0 ? (status.st_size > at ? status.st_size : at) : data;
    *in_data = data == at;
    if (*in_data && (next = lseek(pump->fd, at, SEEK_HOLE)) < 0)
        return fail(pump, errno);
    *length = next - at;
    if (lseek(pump->fd, at, SEEK_SET) < 0)
        return fail(pump, errno);
    return 0;
}

static int skip_hole(virStreamPtr stream, long long length, void *opaque)
{
    pv_pump *pump = opaque;
    (void)stream;
    if (lseek(pump->fd, length, SEEK_CUR) < 0)
        return fail(pump, errno);
    atomic_fetch_add(&pump->moved, length);
    return 0;
}

int pv_pump_send(pv_pump *pump, virStreamPtr stream, int sparse)
{
    return sparse ? virStreamSparseSendAll(stream, give_data, look_ahead, skip_hole, pump)
                  : virStreamSendAll(stream, give_data, pump);
}
