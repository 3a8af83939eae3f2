#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What stands between unshare(1) and a private libvirtd; pyvirt.testing.daemon starts it.
#
#   inside DIR    as init of the new namespaces: put DIR in the place of the machine's directories, then serve
#   serve         run libvirtd as standard input says: "start" (once more), "stop"; its end means stop as well,
#                 so that nothing outlives whoever started this, however that one died
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

# Without groups of its own libvirt sees none, lest it leaves some behind.  Ours are gathered aside before a sysfs of
# the new network namespace hides where they are mounted.
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
        read -r controllers < /sys/fs/cgroup/cgroup.controllers || :      # none
        for controller in $controllers; do
            echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control || :
        done
    fi
}

# A /dev without kvm: guests shall behave alike on every machine.  Nodes are bound, not made, because an ordinary
# user's namespace may not make them; of ptmx only one that belongs to a devpts of ours works then.
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
    # /proc is still the outer one: this is our process id as the starter knows it.
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

# Without a namespace of process ids nothing dies by itself; but tini, our parent, inherits every orphan.
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
