#!/bin/bash
# The first process of the single-node cluster: process 1 of its own PID namespace, with its own
# mounts and its own network. When it ends, the kernel ends every process of the cluster, and mounts,
# interfaces and packet filter rules are gone with their namespaces.
#
# Usage: namespace.sh VAR_LIB VAR_LOG INIT_FILE NODE_ADDRESS SERVICE_RANGE
set -euo pipefail
var_lib=$1 var_log=$2 init_file=$3 node_address=$4 service_range=$5

# /proc is still the machine's: this is the number by which the machine knows this process, and the
# time it started, which tells it from a later process of the same number.
read -r -a stat < /proc/self/stat
mount -t proc proc /proc

mount --bind "$var_lib" /var/lib
mount --bind "$var_log" /var/log
mount -t tmpfs tmpfs /run

# The kubelet insists on these settings of the whole machine. Inside, it finds them as it wants them.
mkdir /run/sysctl
while read -r setting value; do
  echo "$value" > "/run/sysctl/$setting"
  mount --bind "/run/sysctl/$setting" "/proc/sys/${setting//.//}"
done << EOF
vm.overcommit_memory 1
vm.panic_on_oom 0
kernel.panic 10
kernel.panic_on_oops 1
kernel.keys.root_maxkeys 1000000
kernel.keys.root_maxbytes 25000000
EOF

# There is no way out of this network. The services' range has a route all the same, or the kernel
# would refuse a connection before kube-proxy's rules can turn it to a pod.
ip link set lo up
ip link add node0 type bridge
ip address add "$node_address/32" dev node0
ip link set node0 up
ip route add "$service_range" dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward
# Without it, answers from a pod to another pod of the same bridge do not pass the services' rules.
[ -e /proc/sys/net/bridge ] || modprobe br_netfilter
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables

trap 'exit 0' TERM INT
echo "${stat[0]} ${stat[21]}" > "$init_file.new"
mv "$init_file.new" "$init_file"

# Bash reaps what containerd's shims leave behind.
while true; do
  sleep infinity &
  wait
done
