"""Scenes: what chance alone would not find.

In a scene `$name` is a new socket, `<a|b>` one of the two, and what stands in braces the whole scene shares: `f` the
family, `lo` its loopback address, `any` its wildcard, `far` an address of others, `group` a multicast or broadcast
address, `reuse` the options of all sockets, `p` a port, `user` whose socket it is.
"""

from __future__ import annotations

CONNECTION = """
$l = <tcp|tcp|tcp|tcp|mptcp>{f}(<||{reuse}|SO_REUSEADDR|SO_REUSEPORT|TCP_LINGER2=-1|TCP_LINGER2=61|SO_LINGER=0>)
$l.bind({lo}:<R|R|{p}>)
<|||||||$l.shutdown(<RD|WR|RDWR>)?>
$l.listen()
$c = <tcp|tcp|tcp|tcp|mptcp>{f}(<||{reuse}|SO_REUSEADDR|SO_REUSEPORT|TCP_LINGER2=-1|TCP_LINGER2=61|SO_LINGER=0>)
<||$c.bind(<{lo}|{any}>:<0|Q|{p}>)>
$c.connect({lo}:$l.port)
<$s = $l.accept()|$s = $l.accept()|$s = $l.accept()|>
"""
#: A connection ends, and another socket wants its port, or the same peer.
AGAIN = """
$l = <tcp|tcp|tcp|mptcp>{f}({reuse}){user}
$l.bind({lo}:R)
$l.listen()
$c = <tcp|tcp|tcp|mptcp>{f}({reuse})
<|$c.bind(<{lo}|{any}>:<0|Q>)>
$c.connect({lo}:$l.port)
$s = $l.accept()
<$c.close()\n$s.close()|$s.close()\n$c.close()|$c.close()|$s.close()|$s.shutdown(WR)\n$c.close()|$c.close()\n$s.shutdown(WR)\n$s.send()?>
<||||||wait 0.05>
$n = tcp{f}({reuse})<{user}| as user1>
$n.<connect({lo}:$l.port)|bind({lo}:$c.port)|bind({any}:$c.port)>?
<|$n.listen()?|$n.connect({lo}:$l.port)?>
"""
#: More sockets than the range has ports.
CROWD = """
$many[1-4] = <tcp|udp>{f}({reuse})
$many[1-4].bind(<{lo}|{any}>:0)?
<|$n = tcp{f}({reuse})\n$n.connect({lo}:P)?\n$n.name()>
"""
#: So many sockets at a port that the kernel looks for them otherwise.
MANY = """
$many[1-11] = udp4({reuse})
$many[1-11].bind(127.0.0.[1-11]:R)?
$n = udp4(<|{reuse}>)
$n.bind(<0.0.0.0|0.0.0.0|127.0.0.3>:R)?
"""
#: An address without a port, and IPV6_V6ONLY then.
DEAF = """
$a = <tcp|udp>6(IP_BIND_ADDRESS_NO_PORT)
$a.bind([::ffff:127.0.0.1]:0)
$a.set(IPV6_V6ONLY)
$a.listen()?
$a.sendto([::ffff:127.0.0.1]:P)?
<|$b = udp4()\n$b.bind(127.0.0.1:$a.port)?>
"""
#: The wildcards of both families, and an IPv4 address of their port.
WILD = """
$a = tcp4(<|{reuse}>)
$a.bind(0.0.0.0:R)?
$b = tcp6({reuse}, IPV6_V6ONLY)
$b.bind([::]:R)?
$n = tcp<4({reuse})\n$n.bind(127.0.0.1|6({reuse})\n$n.bind([::ffff:127.0.0.1]>:R)?
"""
#: A connection over IPv6 without IPV6_V6ONLY, and IPv4 addresses of its port.
CROSS = """
$a = <tcp|udp>6(<|{reuse}>)
$a.bind([::]:<0|Q>)?
<$l = tcp6()\n$l.bind([::1]:R)?\n$l.listen()?|>
$a.connect([::1]:R)?
$b = <tcp|udp>4(<|{reuse}>)
$b.bind(<127.0.0.1|127.0.0.5|127.0.0.6|127.0.0.6|0.0.0.0>:$a.port)?
"""
#: A connection that is accepted only when data comes, an end, or time.
DEFERRED = """
$l = tcp{f}(<TCP_DEFER_ACCEPT=<1|1|1|0|2|-1>|{reuse}>)
$l.bind(<{lo}|{lo}|{any}>:R)
<|$l.set(TCP_DEFER_ACCEPT=<1|0>)>
$l.listen(<||||0|1>)
$c = tcp{f}(<||||TCP_DEFER_ACCEPT=1|SO_LINGER=0|{reuse}>)
$c.connect({lo}:R)?
<|||$d = tcp{f}(TCP_USER_TIMEOUT=20)\n$d.connect({lo}:R)?|$b = $l.accept()>
<|$c.send()?|$c.send()?|$c.shutdown(<WR|RD>)|$c.disconnect()|$l.shutdown(RD)|$l.listen()?>
<$a = $l.accept()
<|$c.send()?|$c.recv()?|$n = tcp{f}({reuse})\n$n.bind({lo}:R)?\n$n.<listen()?|connect({lo}:$c.port)?>>
<$c.close()|$c.shutdown(WR)?|$l.shutdown(RD)?>
<|$e = $l.accept()>
|$l.close()
<|$c.recv()?|$n = tcp{f}({reuse})\n$n.bind({lo}:R)?\n$n.<listen()?|connect({lo}:$c.port)?>>
<$c.close()|$c.shutdown(WR)?\n$c.recv()?|$c.send()?\n$c.send()?>
>
"""
#: A value that the kernel does not take as it is.
TAKEN = """
$a = <tcp|mptcp>{f}(<TCP_LINGER2=121|TCP_LINGER2=0|TCP_LINGER2=-1|SO_LINGER=1|IP_LOCAL_PORT_RANGE=40001-0>)
$a.get(<TCP_LINGER2|SO_LINGER|IP_LOCAL_PORT_RANGE>)
"""
#: Who waits at a listener that ends.
HEIRS = """
$l = tcp{f}(SO_REUSEPORT)
$m = tcp{f}(SO_REUSEPORT<|, SO_REUSEADDR>)
$l.bind({lo}:R)?
$m.bind(<{lo}|{lo}|{any}>:R)?
$l.listen(<|1>)?
<|$m.listen()?>
$c = tcp{f}()
$c.connect({lo}:R)?
$m.listen(<|1>)?
<$l.close()|$l.close()|$l.shutdown(RD)|$l.disconnect()>
$a = $m.accept()
$c.send()?
"""
#: Which of two listeners gets the connection.
LISTENERS = """
$l = tcp{f}(<SO_REUSEPORT|{reuse}>)
$l.bind(<{any}|{any}|{lo}>:R)?
$l.listen()?
$m = tcp{f}(<SO_REUSEPORT|{reuse}|SO_REUSEPORT, SO_BINDTODEVICE=lo>)
$m.bind({lo}:R)?
$m.listen()?
$c = tcp{f}()
$c.connect({lo}:R)?
$a = $m.accept()
$b = $l.accept()
"""
#: A connection that nobody holds any more, and its user's next listener.
ORPHAN = """
$l = tcp{f}(SO_REUSEPORT){user}
$l.bind({lo}:R)?
$l.listen()?
$c = tcp{f}()
$c.connect({lo}:R)?
<$s = $l.accept()\n$s.close()|>
$n = tcp{f}(SO_REUSEPORT){user}
$n.bind(<{lo}|{any}>:R)?
"""
#: A connection that chose its port, and a wildcard socket that shares and leaves it.
SHARED = """
$l = tcp{f}()
$l.bind({lo}:R)
$l.listen()
$c = tcp{f}({reuse})
$c.connect({lo}:R)?
<|$c.close()\n$s = $l.accept()\n$s.close()>
$w = tcp{f}({reuse})
$w.bind({any}:$c.port)?
$w.connect({lo}:<R|P>)?
$n = tcp{f}(<|{reuse}>)
$n.<connect({lo}:<R|P>)|bind({any}:$c.port)|bind({lo}:$c.port)>?
$n.name()
"""
#: Which of several sockets gets a datagram.
MAIL = """
$a = udp{f}(<SO_REUSEADDR|SO_REUSEPORT|{reuse}>)
$a.bind(<{lo}|{any}>:R)?
$b = udp{f}(<SO_REUSEADDR|SO_REUSEPORT|{reuse}>)
$b.bind(<{lo}|{any}>:R)?
$c = udp{f}(<SO_REUSEADDR|SO_REUSEPORT|{reuse}>)
<|$c.bind({lo}:R)?>
<|$a.connect({lo}:<Q|0>)?>
<|$b.connect({lo}:<Q|0>)?>
<|$a.disconnect()?>
$s = udp{f}(<|SO_BINDTODEVICE=lo>)
<$s.bind({lo}:Q)?|>
$s.sendto({lo}:R)?
$s.sendto({lo}:<R|R|Q>)?
$b.recv()?
$a.recv()?
"""
#: Sockets that share by one option, and by the other.
MIXED = """
$a = <tcp|udp>{f}(SO_REUSEADDR)
$a.bind({lo}:R)?
$b = <tcp|udp>{f}(SO_REUSEADDR, SO_REUSEPORT){user}
$b.bind({lo}:R)?
$c = <tcp|udp>{f}(<SO_REUSEPORT|SO_REUSEPORT|SO_REUSEADDR>){user}
$c.bind(<{lo}|{any}>:R)?
"""
#: An address that is not this host's.
FOREIGN = """
$a = <udp|udp|udp|tcp|tcp>{f}(<IP_FREEBIND|IP_TRANSPARENT|IPV6_FREEBIND><||, SO_BINDTODEVICE=lo>)
$a.bind(<{far}|{far}|{group}>:<0|R>)?
$a.<sendto|sendto|connect>(<{lo}|{lo}|{any}|{group}>:P)?
"""
#: A connected socket that got a datagram, and a newer one like it.
TURNS = """
$a = udp{f}({reuse})
$a.bind({lo}:R)?
$a.connect({lo}:<0|0|Q>)?
$s = udp{f}()
<|$s.bind({lo}:Q)?>
$s.sendto({lo}:R)?
<|$a.disconnect()>
$b = udp{f}({reuse})
$b.bind({lo}:R)?
<|$b.connect({lo}:<0|0|Q>)?>
<|$b.connect({lo}:Q)?>
$s.sendto({lo}:R)?
$b.recv()?
"""
#: A datagram to nobody, and who is told.
NOBODY = """
$a = udp{f}({reuse})
<|$a.bind(<{lo}|{any}>:<0|R>)?>
$a.connect({lo}:<0|P|Q>)?
$b = udp{f}({reuse})
$b.bind({lo}:$a.port)?
<|$a.disconnect()?\n$a.connect({lo}:<0|P>)?>
<|$b.connect({lo}:<0|P>)?>
<|$b.connect({lo}:P)?>
<|$b.close()\n$c = udp{f}({reuse})\n$c.bind({lo}:$a.port)?>
$a.<send()|sendto({lo}:P)>?
$a.<send()|sendto({lo}:P)|recv()>?
"""
#: Groups and broadcast addresses.
EVERYBODY = """
$a = udp{f}(SO_REUSEADDR)
$a.bind(<{group}|{any}|{lo}>:R)?
$b = udp{f}(SO_REUSEADDR<|, SO_BINDTODEVICE=lo>)
$b.bind(<{group}|{any}|{lo}>:R)?
$s = <udp|udp|udp|tcp>{f}(<SO_BROADCAST|SO_BINDTODEVICE=lo|SO_BROADCAST, SO_BINDTODEVICE=lo|>)
<|$s.bind({lo}:0)?>
<$s.sendto({group}:R)?|$s.connect({group}:R)?\n$s.send()?>
$a.recv()?
$b.recv()?
"""
#: A listener with two descriptors, of which one is closed.
HANDED_ON = """
$l = tcp{f}({reuse}){user}
<$l.bind(<{lo}|{any}>:<R|0>)?\n$h = $l.dup()|$h = $l.dup()\n$h.bind(<{lo}|{any}>:<R|0>)?>
<$l.listen()?|$h.listen()?|>
$c = tcp{f}(<|{reuse}>)
<$c.connect({lo}:<R|$h.port>)?|>
<$l.close()|$l.close()|$h.shutdown(RD)?|$l.disconnect()?|$h.set(SO_REUSEADDR=<0|1>)|>
$n = tcp{f}({reuse})<{user}| as user1>
$n.bind(<{lo}|{any}>:<R|$h.port>)?
<$h.close()|$a = $h.accept()|$h.listen()?>
<$n.bind({lo}:<R|$h.port>)?|$n.listen()?|$n.connect({lo}:<R|$h.port>)?>
"""
#: A connection of which one end has two descriptors.
COPIED = """
$l = <tcp|tcp|tcp|mptcp>{f}({reuse})
$l.bind({lo}:R)
$l.listen()
$c = <tcp|tcp|tcp|mptcp>{f}({reuse}<||, SO_LINGER=0>)
<|$c.bind({lo}:<0|Q>)?>
$c.connect({lo}:R)
$s = $l.accept()
<$d = $s.dup()
<$s.close()|$d.close()|$d.set(SO_LINGER=0)|$s.shutdown(<WR|RD>)?>
|$d = $c.dup()
<$c.close()|$d.shutdown(WR)?|$d.set(SO_LINGER=0)>
>
<|$n = tcp{f}({reuse})\n$n.bind({lo}:$d.port)?\n$n.connect({lo}:R)?>
"""
#: A datagram socket with two descriptors.
LENT = """
$a = udp{f}({reuse})
<|$a.bind(<{lo}|{any}>:R)?>
$b = $a.dup()
<|$b.bind(<{lo}|{any}>:R)?>
<|$a.connect({lo}:<Q|0>)?>
<$a.close()|$a.disconnect()?|$a.set(SO_REUSEADDR=<0|1>)|>
$s = udp{f}()
<|$s.bind({lo}:Q)?>
$s.sendto({lo}:R)?
$n = udp{f}({reuse})
$n.bind(<{lo}|{any}>:R)?
<$b.recv()?|$b.send()?|$b.disconnect()?|$b.close()>
"""
#: An SCTP connection that ends, and who wants its ports.
STREAMS = """
$l = sctp{f}({reuse})
$l.bind(<{lo}|{lo}|{any}>:R)?
$l.listen(<||1>)?
$c = sctp<{f}|{f}|6>(<||SO_LINGER=0|{reuse}>)
<|$c.bind({lo}:Q)?>
$c.connect({lo}:R)?
<||$m = sctp{f}({reuse})\n$m.bind({lo}:$c.port)?\n$m.connect({lo}:R)?>
<$s = $l.accept()
<|$c.send()?\n$s.recv()?|$s.send()?|$s.send()?\n$c.recv()?\n$c.send()?>
<$s.close()\n$c.recv()?|$s.shutdown(<WR|RD|RDWR>)?\n$c.send()?|$c.close()\n$s.<recv|send>()?\n$s.recv()?\
|$c.shutdown(<WR|RDWR>)?\n$s.recv()?\n$s.sendto({lo}:$c.port)?|$l.close()|$l.listen(<0|1>)?\n$c.sendto({lo}:R)?>
|<|$c.send()?>
<$l.close()\n$c.<recv|send|eof>()?|$c.close()\n$s = $l.accept()\n$s.recv()?\n$s.send()?\
|$l.listen(0)?|$c.shutdown(WR)?\n$s = $l.accept()\n$s.eof()?>
>
$n = sctp{f}(<|{reuse}>)
$n.bind({lo}:<R|$c.port>)?
<$n.listen()?|$n.connect({lo}:<R|P|$c.port>)?>
"""
#: Sockets bound to devices.
DEVICES = """
$a = <tcp|udp>{f}(SO_BINDTODEVICE=<lo|d1|d1|nosuch>)
$a.bind(<{lo}|{any}>:R)?
$b = <tcp|udp>{f}(<|SO_BINDTODEVICE=<lo|d1>>)
$b.bind(<{lo}|{any}>:R)?
$c = <tcp|udp>{f}(<|SO_BINDTODEVICE=<lo|d1>>)
<$a.listen()?|>
<$c.connect({lo}:R)?|$c.sendto({lo}:R)?>
"""
#: Who is in a group of IPv4, and whom it reaches.
GROUP = """
$a = udp<4|4|6>(SO_REUSEADDR, <IP_ADD_MEMBERSHIP=224.0.0.251%<lo|lo|d1|nosuch>|IP_MULTICAST_ALL=<0|1>\
|IP_ADD_MEMBERSHIP=224.0.0.251%lo, IP_MULTICAST_ALL=0>)?
$b = udp4(SO_REUSEADDR<||, IP_ADD_MEMBERSHIP=224.0.0.<251|9>%<lo|d1>>)?
$a.bind(<0.0.0.0|0.0.0.0|[::]|224.0.0.251|127.0.0.1>:R)?
$b.bind(<0.0.0.0|0.0.0.0|224.0.0.251|127.0.0.1>:R)?
<||$a.set(IP_ADD_MEMBERSHIP=224.0.0.251<%lo|%d1|>)?|$b.set(IP_MULTICAST_ALL=0)?\
|$a.set(IP_DROP_MEMBERSHIP=224.0.0.251<%lo|%d1|>)?|$a.set(IP_ADD_MEMBERSHIP=224.0.1.[1-20]%lo)?>
$s = <udp|udp|udp|tcp>4(<IP_MULTICAST_IF=<lo|lo|d1|nosuch>|IP_MULTICAST_IF=d1, IP_MULTICAST_LOOP=<0|1>\
|SO_BINDTODEVICE=<lo|d1>|IP_MULTICAST_LOOP=0>)?
<||$s.bind(127.0.0.1:0)?>
<|$d = $a.dup()\n$a.close()|$b.close()>
$s.<sendto(224.0.0.251:R)|sendto(224.0.0.251:R)|sendto(224.0.0.<1|9>:R)|connect(224.0.0.251:R)>?
<$s.send()?\n$s.name()|>
$r = udp4(SO_REUSEADDR)
$r.bind(0.0.0.0:R)?
$s.sendto(224.0.0.251:R)?
$r.recv()?
"""
#: Who is in a group of IPv6.
GROUP6 = """
$a = udp6(SO_REUSEADDR, <IPV6_JOIN_GROUP=<ff02::fb|ff05::fb><%lo|%d1|%d1|%nosuch|>|IPV6_MULTICAST_ALL=<0|1>>)?
$b = udp6(SO_REUSEADDR<||, IPV6_JOIN_GROUP=<ff02|ff05>::<fb|9>%<lo|d1>>)?
$a.bind(<[::]|[::]|[ff02::fb%d1]|[ff05::fb]|[::1]>:R)?
$b.bind(<[::]|[::]|[ff02::fb%<lo|d1>]>:R)?
<||$a.set(IPV6_JOIN_GROUP=ff02::fb<%lo|%d1|>)?\
|$a.set(IPV6_LEAVE_GROUP=<ff02|ff05>::fb<%lo|%d1|>)?|$b.set(IPV6_MULTICAST_ALL=0)?>
$s = <udp|udp|udp|tcp>6(<IPV6_MULTICAST_IF=<lo|d1|d1|nosuch>|IPV6_MULTICAST_LOOP=<0|1>\
|IPV6_MULTICAST_IF=d1, IPV6_MULTICAST_LOOP=0|SO_BINDTODEVICE=<lo|d1>>)?
<||$b.close()>
$s.sendto(<[ff02::fb%<lo|d1>]|[ff02::fb]|[ff05::fb]|[ff02::1%d1]|[ff02::9%d1]>:R)?
<$a.recv()|$s.connect([ff02::fb<|%lo|%d1>]:R)>?
"""
#: Link-local addresses of two devices.
LINKS = """
$a = <tcp|udp>6(<|{reuse}|SO_BINDTODEVICE=<lo|d1>>)
$a.bind(<[fe80::1%<lo|d1|nosuch>]|[fe80::1%<lo|d1>]|[fe80::1]|[fe80::2%d1]|[::]>:<R|0>)?
$a.name()
<$a.listen()?|$a.listen()?|>
$b = <tcp|udp>6({reuse})
$b.bind(<[fe80::1%<lo|d1>]|[fe80::1%<lo|d1>]|[::]|[::1]>:<R|$a.port>)?
$c = <tcp|udp>6(<||SO_BINDTODEVICE=<lo|d1>>)
<||$c.bind(<[fe80::1%<lo|d1>]|[::1]>:0)?>
$c.<connect|connect|sendto>(<[fe80::1%<lo|d1|nosuch>]|[fe80::1%<lo|d1>]|[fe80::1]|[fe80::2%lo]>:<R|$a.port>)?
$c.name()
<$c.disconnect()?|$s = $a.accept()\n$s.name()|$b.recv()?|$a.recv()?>
$c.<connect(<[fe80::1%<lo|d1>]|[::1]>:<R|$a.port>)|send()|name()>?
"""
#: No answer comes, and connect() gives up after a second.
SILENCE = """
$l = tcp{f}({reuse})
$l.bind({lo}:R)
$l.listen(0)
$many[1-2] = tcp{f}(TCP_USER_TIMEOUT=20)
$many[1-2].connect({lo}:R)?
"""
#: What time ends, or lets be taken over.
SECOND = """
$l = tcp{f}({reuse})
$l.bind({lo}:R)
$l.listen()
$c = tcp{f}({reuse}<|, TCP_LINGER2=1>)
$c.connect({lo}:R)
$s = $l.accept()
$c.close()
<|$s.close()>
wait <1.1|1.1|1.8>
$n = tcp{f}({reuse})
$n.<connect({lo}:R)|bind({lo}:$c.port)>?
"""
SCENES = {
    "tcp": (
        *(CONNECTION,) * 3, *(AGAIN,) * 2, COPIED, CROWD, CROSS, DEFERRED, FOREIGN, HANDED_ON, HEIRS, LISTENERS, ORPHAN,
        SHARED, TAKEN,
    ),
    "udp": (*(MAIL,) * 3, *(NOBODY,) * 2, *(EVERYBODY,) * 2, CROWD, CROSS, FOREIGN, LENT, MANY, *(MIXED,) * 2, TURNS),
    "mptcp": (CONNECTION, AGAIN),
    "sctp": (STREAMS,),
}  # fmt: skip
SLOW = (SILENCE, SECOND)
