// A listener of Go's, as a program makes it that sets nothing: KIND ADDRESS.
package main

import (
	"net"
	"net/http"
	"os"
)

func main() {
	kind, address := os.Args[1], os.Args[2]
	var err error
	switch kind {
	case "http":
		err = http.ListenAndServe(address, nil)
	case "udp":
		var socket net.PacketConn
		if socket, err = net.ListenPacket("udp", address); err == nil {
			_, _, err = socket.ReadFrom(make([]byte, 1))
		}
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
