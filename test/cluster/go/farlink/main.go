// Command farlink runs a command far away: in a network namespace of its own, a round trip from the one it was started
// in. It is netem's delay for kernels that are built without netem. The namespace it is started in must be the
// caller's own too, with the near address on its loopback interface.
//
//	farlink 30 node upload.js
//
// What the command sends takes a pair of virtual Ethernet devices at once, in the kernel, and what comes back passes
// through this process, which keeps every packet for the round trip: of an upload these are acknowledgements, so that
// the delay costs hardly any CPU.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	nearAddress = "192.0.2.1"
	farAddress  = "192.0.2.2"
)

// From linux/if_tun.h.
const (
	tunSetInterface = 0x400454ca
	tunSetOffload   = 0x400454d0
	flagsTun        = 0x0001 // IFF_TUN
	flagsNoInfo     = 0x1000 // IFF_NO_PI
	flagsOffload    = 0x4000 // IFF_VNET_HDR: packets may be longer than the wire's
	offloadAll      = 0x0007 // TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6
)

// A packet of 64 KiB and the header that says how it is to be cut.
const maxPacket = 64*1024 + 64

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "farlink:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: farlink <milliseconds of a round trip> <command> [argument ...]")
	}
	milliseconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	// The namespace is this thread's, and that of the commands it starts.
	runtime.LockOSThread()
	here, there, err := link()
	if err != nil {
		return err
	}
	command := exec.Command(args[1], args[2:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		return err
	}
	go delay(here, there, time.Duration(milliseconds*float64(time.Millisecond)))
	err = command.Wait()
	// A namespace that nobody is in goes some time later, and the next link has the same names.
	return errors.Join(err, sh("ip link delete far"))
}

// Makes the far namespace and both ways to it; the ends of the way back are given.
func link() (here, there int, err error) {
	if here, err = openTun("back"); err != nil {
		return
	}
	if err = sh("ip link set back up; " + looseRoutes); err != nil {
		return
	}
	near := fmt.Sprintf("/proc/%d/ns/net", os.Getppid())
	if err = syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return
	}
	if there, err = openTun("back"); err != nil {
		return
	}
	err = errors.Join(
		sh("ip link set lo up; ip link set back up"),
		sh(fmt.Sprintf("ip link add far type veth peer name near netns %d", os.Getppid())),
		sh("ip address add "+farAddress+"/30 dev far; ip link set far up; "+looseRoutes),
		sh("nsenter --net="+near+" sh -ec 'ip link set near up; ip route replace "+farAddress+" dev back src "+nearAddress+"'"),
	)
	return
}

// Packets come in by another device than they go out.
const looseRoutes = "for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done"

func sh(script string) error {
	output, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, output)
	}
	return nil
}

func openTun(name string) (int, error) {
	file, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("/dev/net/tun: %w", err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = flagsTun | flagsNoInfo | flagsOffload
	if err := control(file, tunSetInterface, uintptr(unsafe.Pointer(&request))); err != nil {
		return 0, err
	}
	return file, control(file, tunSetOffload, offloadAll)
}

func control(file int, request, argument uintptr) error {
	if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, uintptr(file), request, argument); code != 0 {
		return fmt.Errorf("ioctl %#x: %w", request, code)
	}
	return nil
}

type packet struct {
	due   time.Time
	bytes []byte
}

// Passes packets on in their order, each so much later; ends with the process.
func delay(from, to int, by time.Duration) {
	packets := make(chan packet, 1<<16)
	go func() {
		for next := range packets {
			time.Sleep(time.Until(next.due))
			if _, err := syscall.Write(to, next.bytes); err != nil {
				fmt.Fprintln(os.Stderr, "farlink: a packet was lost:", err)
			}
		}
	}()
	buffer := make([]byte, maxPacket)
	for {
		length, err := syscall.Read(from, buffer)
		if err != nil {
			fmt.Fprintln(os.Stderr, "farlink: the way back ended:", err)
			return
		}
		packets <- packet{time.Now().Add(by), append([]byte(nil), buffer[:length]...)}
	}
}
