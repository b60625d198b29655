"""What the lines of random scenarios hold: few addresses, options and values, so that sockets collide."""

from __future__ import annotations

REUSE = ("SO_REUSEADDR", "SO_REUSEPORT")
HOSTS = {
    4: ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "0.0.0.0", "0.0.0.0", "127.0.0.2", "127.0.0.6"),
    6: ("[::1]", "[::1]", "[::]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"),
}
RARE_HOSTS = {
    4: (
        "127.255.255.255",
        "127.255.255.255",
        "255.255.255.255",
        "192.0.2.1",
        "127.0.0.3",
        "127.0.0.6",
        "224.0.0.1",
        "224.0.0.251",
    ),
    6: (
        "[::ffff:127.0.0.2]",
        "[::ffff:127.0.0.6]",
        "[::ffff:127.255.255.255]",
        "[::ffff:192.0.2.1]",
        "[::ffff:224.0.0.1]",
        "[::127.0.0.1]",
        "[::2]",
        "[ff02::1]",
        "[ff05::1]",
        "[fe80::1]",
    ),
}
#: What the sockets of a scene share, by family.
PLACES = {
    4: ({"lo": "<127.0.0.1|127.0.0.1|127.0.0.6>", "any": "0.0.0.0", "far": "192.0.2.1"},),
    6: (
        {"lo": "[::1]", "any": "[::]", "far": "[::2]"},
        {"lo": "[::1]", "any": "[::]", "far": "[::ffff:192.0.2.1]"},
        {"lo": "[::ffff:127.0.0.1]", "any": "<[::]|[::ffff:0.0.0.0]>", "far": "[::ffff:192.0.2.1]"},
    ),
}
GROUPS = {
    4: "<224.0.0.1|224.0.0.1|224.0.0.251|127.255.255.255|255.255.255.255>",
    6: "<[ff02::1]|[ff05::1]|[ff01::1]|[fe80::1]|[::ffff:224.0.0.1]>",
}
#: Addresses that lo is given.
GIVEN = ("127.0.0.2", "127.0.0.2", "192.0.2.1")
SELDOM = (
    "IP_BIND_ADDRESS_NO_PORT",
    "IP_LOCAL_PORT_RANGE=40000-40002",
    "IP_LOCAL_PORT_RANGE=40001-40001",
    "SO_LINGER=0",
    "TCP_LINGER2=-1",
    "SO_BINDTODEVICE=lo",
    "IP_FREEBIND",
    "IPV6_FREEBIND",
    "SO_BROADCAST",
    "IP_FREEBIND, IPV6_FREEBIND=0",
    "IPV6_TRANSPARENT, IP_TRANSPARENT=0",
    "TCP_LINGER2=121",
)
#: Values that tell something, by the form of an option.
VALUES = {
    "flag": ("0", "1", "1", "raw:", "raw:00", "raw:0100", "raw:01000000", "raw:0000000001"),
    "int": ("0", "1", "-1", "raw:", "raw:01", "raw:05000000"),
    "linger": ("0", "off", "1", "0"),
    "range": ("40000-40002", "40001-40001", "0-0", "40001-0", "0-40001", "40002-40001", "raw:419c", "raw:419c419c"),
    "group": (),
    "device": ("lo", "lo", "nosuch"),
    "text": ("lo", "lo", "nosuch", "raw:6c6f", "raw:6c6f006c", "raw:", "raw:00"),
}
SOME_VALUES = {
    **dict.fromkeys(
        ("IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP"),
        (
            "224.0.0.251%lo",
            "224.0.0.251%lo",
            "224.0.0.1%lo",
            "224.0.0.251",
            "127.0.0.1%lo",
            "127.0.0.1",
            "224.0.0.251%nosuch",
            "raw:",
        ),
    ),
    **dict.fromkeys(
        ("IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP"),
        ("ff02::fb%lo", "ff02::fb", "ff05::1%lo", "::1%lo", "ff02::fb%nosuch", "raw:"),
    ),
    "TCP_LINGER2": ("-1", "0", "1", "60", "120", "121", "100000", "-5", "raw:ffffffff", "raw:01"),
    "TCP_USER_TIMEOUT": ("0", "150", "-1"),
    "TCP_SYNCNT": ("0", "1", "127", "128"),
    "SO_PRIORITY": ("0", "6", "7"),
    "IP_TTL": ("0", "1", "255", "256", "-1"),
}
