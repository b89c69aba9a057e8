// Command copyrelay reads the rows of a table by COPY and throws them away, or hands them to the COPY of another
// database, and does nothing else: no check, no count, no hash, no memory beyond two buffers. What it takes is about
// what any client must take, and what it does not, the servers do.
//
//	copyrelay source table [target]
//
// PGHOST, an address, and PGPORT and PGUSER name the server, which must ask for no password. Plain TCP, system calls
// that block, and the pauses between small reads that the engine makes too (src/postgres/wire.ts).
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	bufferSize = 64 << 10
	smallRead  = 32 << 10
	rest       = time.Millisecond
	headerSize = 5
	protocol30 = 3 << 16
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "copyrelay:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("usage: copyrelay source table [target]")
	}
	source, err := connect(args[0])
	if err != nil {
		return err
	}
	copyOut := fmt.Sprintf("COPY %s TO STDOUT (FORMAT binary)", args[1])
	if len(args) == 2 {
		return source.relay(copyOut, func([]byte) error { return nil })
	}
	target, err := connect(args[2])
	if err != nil {
		return err
	}
	if err := target.query(fmt.Sprintf("COPY %s FROM STDIN (FORMAT binary)", args[1])); err != nil {
		return err
	}
	if _, err := target.until('G'); err != nil {
		return err
	}
	sender := &sender{session: target, message: append(make([]byte, 0, headerSize+bufferSize), 'd', 0, 0, 0, 0)}
	if err := source.relay(copyOut, sender.add); err != nil {
		return err
	}
	if err := sender.flush(); err != nil {
		return err
	}
	if err := target.send('c', nil); err != nil {
		return err
	}
	_, err = target.until('C')
	return err
}

type session struct {
	socket int
	// What has been read and not been looked at, in the buffer.
	buffer     [bufferSize]byte
	start, end int
}

func connect(database string) (*session, error) {
	port, err := strconv.ParseUint(os.Getenv("PGPORT"), 10, 16)
	if err != nil {
		return nil, err
	}
	host, err := netip.ParseAddr(os.Getenv("PGHOST"))
	if err != nil {
		return nil, err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(port), Addr: host.As4()}); err != nil {
		return nil, err
	}
	if err := syscall.SetsockoptInt(socket, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	s := &session{socket: socket}
	startup := binary.BigEndian.AppendUint32(nil, protocol30)
	for _, word := range []string{"user", os.Getenv("PGUSER"), "database", database, ""} {
		startup = append(append(startup, word...), 0)
	}
	startup = append(binary.BigEndian.AppendUint32(nil, uint32(4+len(startup))), startup...)
	if err := writeAll(socket, startup); err != nil {
		return nil, err
	}
	_, err = s.until('Z')
	return s, err
}

func (s *session) send(kind byte, payload []byte) error {
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(payload)))
	return writeAll(s.socket, append(message, payload...))
}

func (s *session) query(sql string) error {
	return s.send('Q', append([]byte(sql), 0))
}

func (s *session) fill() error {
	n, err := system(syscall.SYS_READ, s.socket, s.buffer[s.end:])
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("the server closed the connection")
	}
	s.end += n
	return nil
}

// Reads whole messages up to one of this kind, and returns what it holds.
func (s *session) until(kind byte) ([]byte, error) {
	for {
		for s.end-s.start < headerSize || s.end-s.start < 1+int(binary.BigEndian.Uint32(s.buffer[s.start+1:])) {
			s.end = copy(s.buffer[:], s.buffer[s.start:s.end])
			s.start = 0
			if err := s.fill(); err != nil {
				return nil, err
			}
		}
		found := s.buffer[s.start]
		next := s.start + 1 + int(binary.BigEndian.Uint32(s.buffer[s.start+1:]))
		payload := s.buffer[s.start+headerSize : next]
		s.start = next
		if found == 'E' {
			return nil, fmt.Errorf("the server says: %s", bytes.ReplaceAll(payload, []byte{0}, []byte{' '}))
		}
		if found == 'R' && binary.BigEndian.Uint32(payload) != 0 {
			return nil, fmt.Errorf("the server wants a password")
		}
		if found == kind {
			return payload, nil
		}
	}
}

// Runs a COPY … TO STDOUT and gives the payloads of CopyData to take, in pieces as they come.
func (s *session) relay(sql string, take func([]byte) error) error {
	if err := s.query(sql); err != nil {
		return err
	}
	if _, err := s.until('H'); err != nil {
		return err
	}
	missing := 0
	for {
		for s.start < s.end {
			if missing == 0 {
				if s.end-s.start < headerSize {
					break
				}
				if s.buffer[s.start] != 'd' {
					_, err := s.until('Z')
					return err
				}
				missing = int(binary.BigEndian.Uint32(s.buffer[s.start+1:])) - 4
				s.start += headerSize
			}
			here := min(missing, s.end-s.start)
			if err := take(s.buffer[s.start : s.start+here]); err != nil {
				return err
			}
			s.start += here
			missing -= here
		}
		s.end = copy(s.buffer[:], s.buffer[s.start:s.end])
		s.start = 0
		before := s.end
		if err := s.fill(); err != nil {
			return err
		}
		if s.end-before < smallRead {
			// What the kernel gathers meanwhile would be as many reads, each of which wakes somebody.
			pause(rest)
		}
	}
}

// Gathers payloads into messages of 64 KiB.
type sender struct {
	session *session
	message []byte
}

func (s *sender) add(payload []byte) error {
	for len(payload) > 0 {
		here := min(len(payload), cap(s.message)-len(s.message))
		s.message = append(s.message, payload[:here]...)
		payload = payload[here:]
		if len(s.message) < cap(s.message) {
			continue
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) flush() error {
	if len(s.message) == headerSize {
		return nil
	}
	binary.BigEndian.PutUint32(s.message[1:], uint32(len(s.message)-1))
	err := writeAll(s.session.socket, s.message)
	s.message = s.message[:headerSize]
	return err
}

// Not through the scheduler, which would move the goroutine to another thread while the kernel works.
func system(call uintptr, socket int, data []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(socket), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
		if errno == 0 {
			return int(n), nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

func writeAll(socket int, data []byte) error {
	for len(data) > 0 {
		n, err := system(syscall.SYS_WRITE, socket, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func pause(duration time.Duration) {
	length := syscall.NsecToTimespec(int64(duration))
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&length)), 0, 0)
}
