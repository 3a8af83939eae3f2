#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Sets up the namespaces of a private libvirtd and runs it.  pyvirt.testing.daemon starts it by unshare(1).
#
#   inside DIR    runs as init of the new namespaces: mount DIR over the machine's directories, then serve
#   serve         run libvirtd by commands on standard input: "start" (again), "stop".  End of file also means stop,
#                 so that no process is left if the process that started this one dies, for any reason
#
# Standard output reports "init PID" and "exit STATUS" (of libvirtd).  Environment: LIBVIRTD (the program),
# LIBVIRTD_ARGS; for `inside` also PRIVATE_NET=1, PRIVATE_CGROUPS=1, PRIVATE_HOSTNAME, DEVICES; for `serve` NO_NAMESPACE=1.
# libvirtd keeps its default paths: inside, /run, /etc/libvirt and /var/{lib,log,cache}/libvirt are DIR's.

set -eu

# DIR/cgroups has a line "MOUNTPOINT GROUP" for every hierarchy.  Joining them and only then starting a cgroup
# namespace makes them the roots of all that libvirt sees.
join_cgroups() {
    while read -r mount group; do
        echo $$ > "$mount/$group/cgroup.procs"
    done < "$dir/cgroups"
    joined=1 exec unshare --cgroup sh "$0" inside "$dir"
}

# Without separate groups, libvirt sees no control groups at all, so that it cannot leave any behind.  The separate
# groups are first mounted elsewhere, because the sysfs of the new network namespace hides their mount points.
mount_sys() {
    mkdir -p "$dir/cg"
    mount -t tmpfs -o mode=755 tmpfs "$dir/cg"
    if [ -n "${PRIVATE_CGROUPS:-}" ]; then
        while read -r mount group; do
            target=$dir/cg${mount#/sys/fs/cgroup}
            mkdir -p "$target"
            mount --bind "$mount/$group" "$target"
        done < "$dir/cgroups"
        umount -R /sys/fs/cgroup
    fi
    [ -z "${PRIVATE_NET:-}" ] || mount -t sysfs sysfs /sys
    mount --rbind "$dir/cg" /sys/fs/cgroup
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        # Version 2 gives controllers only to the children of groups without processes.
        mkdir /sys/fs/cgroup/init
        echo $$ > /sys/fs/cgroup/init/cgroup.procs
        read -r controllers < /sys/fs/cgroup/cgroup.controllers || :      # there are none
        for controller in $controllers; do
            echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control || :
        done
    fi
}

# A /dev without kvm, so that guests behave the same on every machine.  Device nodes are bind mounts, because they cannot
# be created in the namespace of an ordinary user.  ptmx must belong to the new devpts, or it does not work.
mount_dev() {
    mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
    mkdir "$dir/dev/pts" "$dir/dev/shm" "$dir/dev/net"
    for node in null zero full random urandom tty fuse net/tun ${DEVICES:-}; do
        [ -e "/dev/$node" ] || continue
        : > "$dir/dev/$node"
        mount --bind "/dev/$node" "$dir/dev/$node"
    done
    mount -t devpts -o newinstance,mode=620,ptmxmode=666 devpts "$dir/dev/pts"
    ln -s pts/ptmx "$dir/dev/ptmx"
    ln -s /proc/self/fd "$dir/dev/fd"
    ln -s fd/0 "$dir/dev/stdin"
    ln -s fd/1 "$dir/dev/stdout"
    ln -s fd/2 "$dir/dev/stderr"
    mount --rbind "$dir/dev" /dev
}

inside() {
    if [ -n "${PRIVATE_CGROUPS:-}" ] && [ -z "${joined:-}" ]; then
        join_cgroups
    fi
    # /proc is still that of the outer namespace, so this is our process id outside.
    read -r pid _ < /proc/self/stat
    echo "init $pid"
    mount -t proc proc /proc
    [ -z "${PRIVATE_HOSTNAME:-}" ] || hostname "$PRIVATE_HOSTNAME"
    [ -z "${PRIVATE_NET:-}" ] || ip link set lo up
    mount_sys
    mount_dev
    mount --bind "$dir/etc" /etc/libvirt
    for what in lib log cache; do
        mount --bind "$dir/$what" "/var/$what/libvirt"
    done
    mount --rbind "$dir/run" /run      # the last: DIR itself may lie in /run
    exec tini -s -- sh "$0" serve
}

# Without a namespace of process ids, processes are not killed automatically; but tini, our parent, adopts all orphans.
kill_all() {
    while :; do
        read -r ours < "/proc/$$/task/$$/children" || :
        read -r orphans < "/proc/$PPID/task/$PPID/children" || :
        # shellcheck disable=SC2086  # lists of process ids
        set -- $ours $orphans
        [ $# -gt 1 ] || break      # just this shell
        for pid; do
            [ "$pid" = $$ ] || kill -KILL "$pid" 2> /dev/null || :
        done
        wait
    done
}

serve() {
    while read -r order && [ "$order" = start ]; do
        {
            status=0
            # shellcheck disable=SC2086  # the arguments are words
            "$LIBVIRTD" $LIBVIRTD_ARGS < /dev/null >&2 || status=$?
            echo "exit $status"
        } &
    done
    [ -z "${NO_NAMESPACE:-}" ] || kill_all
}

stage=$1 dir=${2:-}
"$stage"
