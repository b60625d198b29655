/*
 * Performs scenarios on a machine that has no Python: `runner [-t SECONDS] [-p SECONDS] [-m] [-j NUMBER] <FILE`.
 *
 * Reads a text of the scenario language, version 1, from standard input and prints what `sockreuse run --json` prints,
 * one object a line for each scenario. All of the text is read and checked before the first scenario is performed. Its
 * counterpart, where reasons are given, is pytest_sockreuse/: parser.py, live/ and platforms.py.
 *
 *   -t SECONDS   what a scenario may take beside its waits (10)
 *   -p SECONDS   how long accept and recv wait for something to return (0.2); 0: one look
 *   -m           this machine is there for this alone: scenarios that cannot be isolated use its network
 *   -j NUMBER    (Linux) by so many processes; each has several scenarios share a network where they cannot meet there,
 *                as live/sharing.py says. Without it, and elsewhere, each has a network of its own.
 *
 * Exit status: 0; 1 if a scenario could not be performed though it should have been; 2 if text or arguments are wrong.
 *
 * To build:   cc -std=c99 -O2 -o runner runner.c                              (POSIX; -static makes it easy to carry)
 *             cc -std=c99 -O2 -o runner runner.c -lsocket -lnsl              (illumos)
 *             x86_64-w64-mingw32-gcc -O2 -o runner.exe runner.c -lws2_32 -liphlpapi
 */
#if defined(__linux__)
#define _GNU_SOURCE /* unshare */
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE
#elif defined(__sun)
#define __EXTENSIONS__ /* what C99 alone does not have */
#elif defined(_WIN32) && !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0600
#endif

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#define close closesocket
#define getpid _getpid
#define SHUT_RD SD_RECEIVE
#define SHUT_WR SD_SEND
#define SHUT_RDWR SD_BOTH
typedef SOCKET sock;
#else
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <net/if.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#define INVALID_SOCKET (-1)
typedef int sock;
#endif

#if defined(__linux__)
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#elif defined(__FreeBSD__) || defined(__NetBSD__)
#define HAS_SETTINGS /* that this program can make */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/socketvar.h>
#include <sys/sysctl.h>
#include <netinet/in_var.h>
#include <netinet/tcp_fsm.h>
#if defined(__FreeBSD__)
#include <sys/jail.h>
#include <sys/uio.h>
#include <netinet/in_pcb.h>
#include <netinet/tcp_var.h>
#endif
#elif defined(__APPLE__) || defined(__DragonFly__) || defined(__OpenBSD__)
#include <sys/types.h>
#include <sys/sysctl.h>
#endif

#ifdef __GNUC__
#define NORETURN __attribute__((noreturn))
#else
#define NORETURN
#endif
#define COUNT(array) (sizeof(array) / sizeof *(array))

enum {
	MAX_LINE = 2000,              /* characters */
	MAX_STEPS = 10000,            /* of one scenario, after expansion */
	MAX_TEXT = 16 * 1024 * 1024,  /* bytes, those of a line counted as often as it stands for a step */
	MAX_LINES = 300000,           /* of the text, counted so too */
	MAX_WAIT = 3600,              /* seconds, all waits of a scenario together */
	MAX_PROCESSES = 64,
};

/* --- errnos ------------------------------------------------------------------------------------------------------- */

#ifdef _WIN32
#define E(name) { WSA##name, #name }
#else
#define E(name) { name, #name }
#endif

/* Of names that share a number the one that the language knows comes first. */
static const struct { int number; const char *name; } errnos[] = {
#ifdef _WIN32
	{ WSAEWOULDBLOCK, "EAGAIN" },
#else
	E(EAGAIN), E(EOPNOTSUPP), E(EDEADLK), E(E2BIG), E(EBADMSG), E(EBUSY), E(ECANCELED), E(ECHILD), E(EDOM),
	E(EEXIST), E(EFBIG), E(EIDRM), E(EILSEQ), E(EIO), E(EISDIR), E(EMLINK), E(ENFILE), E(ENODEV), E(ENOENT),
	E(ENOEXEC), E(ENOLCK), E(ENOMEM), E(ENOMSG), E(ENOSPC), E(ENOSYS), E(ENOTDIR), E(ENOTSUP), E(ENOTTY), E(ENXIO),
	E(EOVERFLOW), E(EPERM), E(EPIPE), E(EPROTO), E(ERANGE), E(EROFS), E(ESPIPE), E(ESRCH), E(ETXTBSY), E(EXDEV),
#endif
#ifdef __linux__
	E(EBADFD), E(ECOMM), E(EHWPOISON), E(EKEYEXPIRED), E(EKEYREJECTED), E(EKEYREVOKED), E(EMEDIUMTYPE),
	E(EMULTIHOP), E(ENODATA), E(ENOKEY), E(ENOLINK), E(ENOMEDIUM), E(ENONET), E(ENOPKG), E(ENOSR), E(ENOSTR),
	E(ENOTUNIQ), E(EREMCHG), E(EREMOTEIO), E(ERESTART), E(ERFKILL), E(ETIME), E(EUCLEAN), E(EUNATCH),
#endif
	E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EALREADY), E(EBADF), E(ECONNABORTED),
	E(ECONNREFUSED), E(ECONNRESET), E(EDESTADDRREQ), E(EDQUOT), E(EFAULT), E(EHOSTDOWN), E(EHOSTUNREACH),
	E(EINPROGRESS), E(EINTR), E(EINVAL), E(EISCONN), E(ELOOP), E(EMFILE), E(EMSGSIZE), E(ENAMETOOLONG), E(ENETDOWN),
	E(ENETRESET), E(ENETUNREACH), E(ENOBUFS), E(ENOPROTOOPT), E(ENOTCONN), E(ENOTEMPTY), E(ENOTSOCK), E(EOPNOTSUPP),
	E(EPFNOSUPPORT), E(EPROTONOSUPPORT), E(EPROTOTYPE), E(EREMOTE), E(ESHUTDOWN), E(ESOCKTNOSUPPORT), E(ESTALE),
	E(ETIMEDOUT), E(ETOOMANYREFS), E(EUSERS),
};

#ifdef _WIN32
#define NO_SUCH_OPTION WSAENOPROTOOPT
#define NOTHING_YET WSAEWOULDBLOCK
#else
#define NO_SUCH_OPTION ENOPROTOOPT
#define NOTHING_YET EAGAIN
#endif

static const char *errno_name(int number)
{
	static char other[16];

	for (size_t i = 0; i < COUNT(errnos); i++)
		if (errnos[i].number == number)
			return errnos[i].name;
	snprintf(other, sizeof other, "E%d", number);
	return other;
}

/* The errno of the socket call that just failed. */
static int failure(void)
{
#ifdef _WIN32
	return WSAGetLastError();
#else
	return errno;
#endif
}

/* --- options ------------------------------------------------------------------------------------------------------ */

enum form { FLAG, WHOLE, LINGERING, PORTS, INTERFACE_NAME, MEMBERSHIP, INTERFACE_INDEX };

static const char *const form_expected[] = {
	"a whole number", "a whole number", "seconds or 'off'", "LOW-HIGH, each 0 to 65535", "an interface name",
	"a group's address, such as 224.0.0.251%lo", "an interface name",
};

/* A number on Linux, FreeBSD, DragonFly BSD, macOS, NetBSD, OpenBSD, illumos and Windows; 0: no such option there. */
#if defined(__linux__)
#define ON(L, F, D, M, N, O, I, W) L
#elif defined(__FreeBSD__)
#define ON(L, F, D, M, N, O, I, W) F
#elif defined(__DragonFly__)
#define ON(L, F, D, M, N, O, I, W) D
#elif defined(__APPLE__)
#define ON(L, F, D, M, N, O, I, W) M
#elif defined(__NetBSD__)
#define ON(L, F, D, M, N, O, I, W) N
#elif defined(__OpenBSD__)
#define ON(L, F, D, M, N, O, I, W) O
#elif defined(__sun)
#define ON(L, F, D, M, N, O, I, W) I
#elif defined(_WIN32)
#define ON(L, F, D, M, N, O, I, W) W
#else
#error "no numbers of options for this system"
#endif
#if defined(__linux__) && SO_REUSEADDR != 2
#error "a processor on which Linux numbers its options otherwise"
#endif

/* Every option of the language, as in conformance/options.toml. */
static const struct known { const char *name; enum form form; int level, number; } options[] = {
	{ "SO_REUSEADDR", FLAG, SOL_SOCKET, ON(2, 4, 4, 4, 4, 4, 4, 4) },
	{ "SO_REUSEPORT", FLAG, SOL_SOCKET, ON(15, 512, 512, 512, 512, 512, 0, 0) },
	{ "SO_REUSEPORT_LB", FLAG, SOL_SOCKET, ON(0, 65536, 0, 0, 0, 0, 0, 0) },
	{ "SO_EXCLUSIVEADDRUSE", FLAG, SOL_SOCKET, ON(0, 0, 0, 0, 0, 0, 0, -5) },
	{ "SO_EXCLBIND", FLAG, SOL_SOCKET, ON(0, 0, 0, 0, 0, 0, 4117, 0) },
	{ "IPV6_V6ONLY", FLAG, IPPROTO_IPV6, ON(26, 27, 27, 27, 27, 27, 39, 27) },
	{ "SO_BINDTODEVICE", INTERFACE_NAME, SOL_SOCKET, ON(25, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_BIND_ADDRESS_NO_PORT", FLAG, IPPROTO_IP, ON(24, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_LOCAL_PORT_RANGE", PORTS, IPPROTO_IP, ON(51, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_PORTRANGE", WHOLE, IPPROTO_IP, ON(0, 19, 19, 19, 19, 19, 0, 0) },
	{ "IPV6_PORTRANGE", WHOLE, IPPROTO_IPV6, ON(0, 14, 14, 14, 14, 14, 0, 0) },
	{ "SO_RANDOMIZE_PORT", FLAG, SOL_SOCKET, ON(0, 0, 0, 0, 0, 0, 0, 12293) },
	{ "SO_PORT_SCALABILITY", FLAG, SOL_SOCKET, ON(0, 0, 0, 0, 0, 0, 0, 12294) },
	{ "SO_REUSE_UNICASTPORT", FLAG, SOL_SOCKET, ON(0, 0, 0, 0, 0, 0, 0, 12295) },
	{ "IP_FREEBIND", FLAG, IPPROTO_IP, ON(15, 0, 0, 0, 0, 0, 0, 0) },
	{ "IPV6_FREEBIND", FLAG, IPPROTO_IPV6, ON(78, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_TRANSPARENT", FLAG, IPPROTO_IP, ON(19, 0, 0, 0, 0, 0, 0, 0) },
	{ "IPV6_TRANSPARENT", FLAG, IPPROTO_IPV6, ON(75, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_BINDANY", FLAG, IPPROTO_IP, ON(0, 24, 0, 0, 27, 0, 0, 0) },
	{ "IPV6_BINDANY", FLAG, IPPROTO_IPV6, ON(0, 64, 0, 0, 64, 0, 0, 0) },
	{ "SO_LINGER", LINGERING, SOL_SOCKET, ON(13, 128, 128, 128, 128, 128, 128, 128) },
	{ "TCP_LINGER2", WHOLE, IPPROTO_TCP, ON(8, 0, 0, 0, 0, 0, 28, 0) },
	{ "SO_BROADCAST", FLAG, SOL_SOCKET, ON(6, 32, 32, 32, 32, 32, 32, 32) },
	{ "SO_DONTROUTE", FLAG, SOL_SOCKET, ON(5, 16, 16, 16, 16, 16, 16, 16) },
	{ "SO_KEEPALIVE", FLAG, SOL_SOCKET, ON(9, 8, 8, 8, 8, 8, 8, 8) },
	{ "SO_MARK", WHOLE, SOL_SOCKET, ON(36, 0, 0, 0, 0, 0, 0, 0) },
	{ "SO_PRIORITY", WHOLE, SOL_SOCKET, ON(12, 0, 0, 0, 0, 0, 0, 0) },
	{ "SO_RCVBUF", WHOLE, SOL_SOCKET, ON(8, 4098, 4098, 4098, 4098, 4098, 4098, 4098) },
	{ "SO_SNDBUF", WHOLE, SOL_SOCKET, ON(7, 4097, 4097, 4097, 4097, 4097, 4097, 4097) },
	{ "IP_TOS", WHOLE, IPPROTO_IP, ON(1, 3, 3, 3, 3, 3, 3, 3) },
	{ "IP_TTL", WHOLE, IPPROTO_IP, ON(2, 4, 4, 4, 4, 4, 4, 4) },
	{ "TCP_DEFER_ACCEPT", WHOLE, IPPROTO_TCP, ON(9, 0, 0, 0, 0, 0, 0, 0) },
	{ "TCP_FASTOPEN", WHOLE, IPPROTO_TCP, ON(23, 1025, 0, 261, 0, 0, 0, 15) },
	{ "TCP_NODELAY", FLAG, IPPROTO_TCP, ON(1, 1, 1, 1, 1, 1, 1, 1) },
	{ "TCP_SYNCNT", WHOLE, IPPROTO_TCP, ON(7, 0, 0, 0, 0, 0, 0, 0) },
	{ "TCP_USER_TIMEOUT", WHOLE, IPPROTO_TCP, ON(18, 0, 0, 0, 0, 0, 0, 0) },
	{ "IP_ADD_MEMBERSHIP", MEMBERSHIP, IPPROTO_IP, ON(35, 12, 12, 12, 12, 12, 19, 12) },
	{ "IP_DROP_MEMBERSHIP", MEMBERSHIP, IPPROTO_IP, ON(36, 13, 13, 13, 13, 13, 20, 13) },
	{ "IP_MULTICAST_IF", INTERFACE_INDEX, IPPROTO_IP, ON(32, 9, 9, 9, 9, 9, 16, 9) },
	{ "IP_MULTICAST_LOOP", FLAG, IPPROTO_IP, ON(34, 11, 11, 11, 11, 11, 18, 11) },
	{ "IP_MULTICAST_ALL", FLAG, IPPROTO_IP, ON(49, 0, 0, 0, 0, 0, 0, 0) },
	{ "IPV6_JOIN_GROUP", MEMBERSHIP, IPPROTO_IPV6, ON(20, 12, 12, 12, 12, 12, 9, 12) },
	{ "IPV6_LEAVE_GROUP", MEMBERSHIP, IPPROTO_IPV6, ON(21, 13, 13, 13, 13, 13, 10, 13) },
	{ "IPV6_MULTICAST_IF", INTERFACE_INDEX, IPPROTO_IPV6, ON(17, 9, 9, 9, 9, 9, 6, 9) },
	{ "IPV6_MULTICAST_LOOP", FLAG, IPPROTO_IPV6, ON(19, 11, 11, 11, 11, 11, 8, 11) },
	{ "IPV6_MULTICAST_ALL", FLAG, IPPROTO_IPV6, ON(29, 0, 0, 0, 0, 0, 0, 0) },
};

/* --- a scenario --------------------------------------------------------------------------------------------------- */

static const struct { const char *name; int type, number; } protocols[] = {
	{ "tcp", SOCK_STREAM, 0 }, { "udp", SOCK_DGRAM, 0 }, { "mptcp", SOCK_STREAM, 262 },
	{ "sctp", SOCK_STREAM, 132 }, { "udplite", SOCK_DGRAM, 136 },
};
enum account { NOBODY, USER1, USER2, ROOT, USERS };
static const char *const user_names[USERS] = { "", "user1", "user2", "root" };

enum verb {
	CLOSE, DISCONNECT, UNTIL_EOF, NAME, RECV, SEND, BIND, CONNECT, SENDTO, GET, LISTEN, SET, SHUTDOWN,
	CREATE, ACCEPT, DUP, WAIT, SYSCTL, EPHEMERAL, ADDRESS, DEVICE, VERBS
};
static const char *const verb_names[VERBS] = {
	"close", "disconnect", "eof", "name", "recv", "send", "bind", "connect", "sendto", "get", "listen", "set",
	"shutdown", "socket", "accept", "dup", "wait", "sysctl", "ephemeral", "address", "device",
};

/* A socket's name; or a port symbol, which has a `port` only. */
struct name {
	const char *text;
	bool is_symbol;
	unsigned slot;               /* its place in `the.slots` */
	bool at_symbol;              /* for `sharing`: a socket whose port is a symbol's */
	bool open;                   /* while reading: made above and not closed */
	int labels[VERBS];           /* while reading: how often each occurred */
	bool failed;                 /* this and the rest while performing */
	sock sock;
	int protocol, port;          /* `port`: the last that it reported */
	enum account user;
};

struct address {
	int family;                  /* 4 or 6; 0: none */
	unsigned char bytes[16];
	const char *device;          /* of fe80::1%lo; NULL: none is named */
	struct name *symbol, *owner; /* of P and of NAME.port; without either, */
	int port;
};

enum { TIMEOUT = -1, UNREACHED = -2 }; /* what a step comes to, if not to 0 or an errno */

struct option {
	const struct known *known;
	const char *value;           /* what follows '='; NULL: the name stands alone and means 1 */
	bool raw;                    /* `value` is the digits after "raw:" */
	struct address group;        /* of MEMBERSHIP */
};

/* A line, or one of those that it stands for: a step, or of the environment. */
struct step {
	enum verb verb;
	struct name *name, *of;      /* `of`: on which ACCEPT and DUP, which make `name`, are called */
	int occurrence;              /* of its label */
	int protocol, family;        /* CREATE */
	enum account user;
	struct option *options;
	int option_count;
	struct address address;
	int argument;                /* LISTEN: the backlog, SHUTDOWN: how */
	const char *setting, *text;  /* SYSCTL: its name; the value of a line of the environment */
	double seconds;
	bool survives;
	int result;                  /* while performing: what it came to, */
	const char *value;           /* and what it recorded, or NULL */
};

/* The scenario in hand. */
static struct {
	const char *title;           /* or NULL */
	struct step steps[MAX_STEPS], *end;
	struct name names[MAX_STEPS * 2];
	int name_count, slots[1 << 16]; /* of a hash table: 0, or an index into `names` plus 1 */
	double waits;
	struct chunk { struct chunk *next; size_t used; char bytes[1 << 16]; } *chunks;
} the;

#define FOR_EACH_STEP(each) for (struct step *each = the.steps; each < the.end; each++)
#define FOR_EACH_NAME(each) for (struct name *each = the.names; each < the.names + the.name_count; each++)

static void *allocated(void *memory)
{
	if (!memory) {
		fputs("runner: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

/* A copy that lasts as long as the scenario in hand. */
static void *keep(const void *bytes, size_t size)
{
	size_t whole = (size + 15) & ~(size_t)15;

	if (!the.chunks || the.chunks->used + whole > sizeof the.chunks->bytes) {
		struct chunk *chunk = allocated(malloc(sizeof *chunk));

		chunk->next = the.chunks;
		chunk->used = 0;
		the.chunks = chunk;
	}
	the.chunks->used += whole;
	return memcpy(the.chunks->bytes + the.chunks->used - whole, bytes, size);
}

static const char *keep_text(const char *text, size_t length)
{
	static char ended[4 * MAX_LINE + 1];

	memcpy(ended, text, length);
	ended[length] = 0;
	return keep(ended, length + 1);
}

static struct name *find(const char *text, bool is_symbol, bool make)
{
	uint32_t hash = 2166136261u;
	struct name *name;
	unsigned slot;

	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (slot = hash % COUNT(the.slots); the.slots[slot]; slot = (slot + 1) % COUNT(the.slots)) {
		name = &the.names[the.slots[slot] - 1];
		if (name->is_symbol == is_symbol && !strcmp(name->text, text))
			return name;
	}
	if (!make)
		return NULL;
	name = &the.names[the.name_count++];
	*name = (struct name) { .text = text, .is_symbol = is_symbol, .slot = slot, .sock = INVALID_SOCKET };
	the.slots[slot] = the.name_count;
	return name;
}

static void begin_scenario(void)
{
	for (struct chunk *chunk = the.chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	while (the.name_count)
		the.slots[the.names[--the.name_count].slot] = 0;
	the.chunks = NULL;
	the.title = NULL;
	the.end = the.steps;
	the.waits = 0;
}

/* --- parse -------------------------------------------------------------------------------------------------------- */

#define DIGIT "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTER UPPER "abcdefghijklmnopqrstuvwxyz"
#define IDENT LETTER DIGIT "_"
#define HEX DIGIT "abcdefABCDEF"
#define BLANK " \t"

/* The line in hand. */
static struct {
	int number;                    /* from 1 */
	int indent;                    /* characters before the body */
	char body[4 * MAX_LINE + 1];   /* without comment, and white space around it */
	char text[4 * MAX_LINE + 1];   /* one of the lines that `body` stands for, */
	short origin[4 * MAX_LINE + 1]; /* and for each byte of it where that stands in `body` */
	const char *at, *token;        /* in `text`: where we are, where the last token began */
	const char *name, *of, *owner, *symbol; /* what `text` names, */
	size_t owner_at;               /* and where, if spelled tightly */
} line;

/* Ends the program: something else was expected there. */
static NORETURN void fail(int number, int column, const char *expected, ...)
{
	va_list values;

	fprintf(stderr, "<stdin>:%d:%d: expected ", number, column);
	va_start(values, expected);
	vfprintf(stderr, expected, values);
	fputc('\n', stderr);
	exit(2);
}

static int characters(const char *text, size_t bytes)
{
	int count = 0;

	while (bytes--)
		count += ((unsigned char)*text++ & 0xC0) != 0x80;
	return count;
}

static int column_of(const char *at)
{
	return line.indent + characters(line.body, (size_t)line.origin[at - line.text]) + 1;
}

#define NEED_AT(at, condition, ...) do { if (!(condition)) fail(line.number, column_of(at), __VA_ARGS__); } while (0)
#define NEED(condition, ...) NEED_AT(line.at, condition, __VA_ARGS__)

/* Where the next token begins. */
static const char *next(void)
{
	return line.token = line.at += strspn(line.at, BLANK);
}

/* Whether `text` stands here, which is then consumed. */
static bool maybe(const char *text)
{
	bool found = !strncmp(next(), text, strlen(text));

	line.at += found ? strlen(text) : 0;
	return found;
}

static bool maybe_word(const char *text)
{
	return strspn(next(), IDENT) == strlen(text) && maybe(text);
}

/* Consume a token of this length; 0: it is not there. */
static const char *take(size_t length, const char *expected)
{
	NEED(length, "%s", expected);
	line.at += length;
	return keep_text(line.token, length);
}

/* How many characters at `at` are of `set`, at most `most`, with none of `never` behind them. */
static size_t span(const char *at, const char *set, size_t most, const char *never)
{
	size_t length = strspn(at, set);

	for (length = length < most ? length : most; length && strspn(at + length, never); length--)
		;
	return length;
}

/* Of DIGITS-DIGITS, each of at most `most`. */
static size_t pair_length(const char *at, size_t most, const char *never)
{
	size_t low = strspn(at, DIGIT), high = at[low] == '-' ? strspn(at + low + 1, DIGIT) : 0;

	return low && low <= most && high && high <= most && !strspn(at + low + 1 + high, never) ? low + 1 + high : 0;
}

static int high_of(const char *pair)
{
	return atoi(pair + strcspn(pair, "-") + 1);
}

static size_t name_length(const char *at)
{
	return strspn(at, LETTER) ? strspn(at, IDENT) : 0;
}

static size_t value_length(const char *at, enum form form)
{
	size_t sign = *at == '-', digits;

	switch (form) {
	case LINGERING:
		return strspn(at, IDENT ".") == 3 && !strncmp(at, "off", 3) ? 3 : span(at, DIGIT, 5, IDENT ".");
	case PORTS:
		return pair_length(at, 5, IDENT ".");
	case INTERFACE_NAME:
		return span(at, IDENT ".-", 15, IDENT ".");
	case INTERFACE_INDEX:
		return strspn(at, LETTER) ? span(at, IDENT ".-", 15, IDENT ".") : 0;
	default:
		digits = span(at + sign, DIGIT, 10, IDENT ".");
		return digits ? sign + digits : 0;
	}
}

static const struct known *take_option_name(void)
{
	const char *name = take(strspn(next(), UPPER) ? strspn(line.at, IDENT) : 0, "an option, such as SO_REUSEADDR");

	for (size_t i = 0; i < COUNT(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	NEED_AT(line.token, false, "an option of the language, such as SO_REUSEADDR, not %s", name);
	return NULL;
}

/* Returns the length of what was read. */
static size_t take_host(struct address *address, int family)
{
	size_t length = strspn(next(), family == 4 ? DIGIT "." : HEX ":.");
	const char *host = take(length, "an address, such as 127.0.0.1 or [::1]");
	int known = inet_pton(family == 4 ? AF_INET : AF_INET6, host, address->bytes);

	address->family = family;
	NEED_AT(line.token, known == 1, "an IPv%d address", family);
	return length;
}

static size_t device_length(const char *at)
{
	return strspn(at, LETTER) ? span(at, IDENT ".-", 15, IDENT ".-") : 0;
}

/* The device of an IPv6 address. Returns the length of what was read. */
static size_t take_device(struct address *address)
{
	if (!maybe("%"))
		return 0;
	address->device = take(device_length(next()), "an interface name");
	return strlen(address->device) + 1;
}

static struct option take_option(void)
{
	struct option option = { .known = take_option_name() };
	enum form form = option.known->form;
	long long number;
	size_t length;

	if (!maybe("=")) {
		NEED(form == FLAG || form == WHOLE, "'=' and %s", form_expected[form]);
		return option;
	}
	option.raw = maybe("raw:");
	if (option.raw) {
		length = strspn(next(), HEX);
		NEED(length <= 512 && !strspn(line.at + length, LETTER DIGIT), "hexadecimal digits, at most 512");
		option.value = keep_text(line.at, length);
		line.at += length;
		NEED(length % 2 == 0, "an even number of hexadecimal digits");
		return option;
	}
	if (form == MEMBERSHIP) {
		take_host(&option.group, option.known->level == IPPROTO_IPV6 ? 6 : 4);
		take_device(&option.group);
		option.value = "";
		return option;
	}
	option.value = take(value_length(next(), form), form_expected[form]);
	number = strtoll(option.value, NULL, 10);
	if (form == PORTS)
		NEED_AT(line.token, number <= 65535 && high_of(option.value) <= 65535, "%s", form_expected[form]);
	if (form == FLAG || form == WHOLE)
		NEED_AT(line.token, number >= INT32_MIN && number <= INT32_MAX, "a number of 32 bits");
	return option;
}

static void take_address(struct step *step)
{
	static const char expected[] = "a port: a number, a symbol such as P, or NAME.port";
	size_t length, host;

	if (maybe("[")) {
		host = take_host(&step->address, 6) + 2;
		host += take_device(&step->address);
		NEED(maybe("]"), "']'");
	} else {
		host = take_host(&step->address, 4);
	}
	NEED(maybe(":"), "':' and a port");
	length = name_length(next());
	if (length && !strncmp(line.at + length, ".port", 5) && !strspn(line.at + length + 5, IDENT)) {
		line.owner = take(length, expected);
		line.owner_at = strlen(line.name) + strlen(verb_names[step->verb]) + 3 + host;
		line.at += 5;
	} else if (strspn(line.at, UPPER)) {
		line.symbol = take(span(line.at, UPPER DIGIT, MAX_LINE, IDENT "."), expected);
	} else {
		step->address.port = atoi(take(span(line.at, DIGIT, 5, IDENT), expected));
		NEED_AT(line.token, step->address.port <= 65535, "a port from 0 to 65535");
	}
}

static void read_creation(struct step *step)
{
	static struct option found[MAX_LINE];
	const char *maker = take(name_length(next()), "a socket kind, LISTENER.accept() or OTHER.dup()"), *at = line.token;

	if (maybe(".")) {
		step->verb = maybe_word("accept") ? ACCEPT : DUP;
		NEED(step->verb == ACCEPT || maybe_word("dup"), "accept() or dup()");
		at = next();
		NEED_AT(at, maybe("(") && maybe(")"), "'()'");
		line.of = maker;
		return;
	}
	step->verb = CREATE;
	for (size_t i = 0; i < COUNT(protocols); i++) {
		size_t length = strlen(protocols[i].name);

		if (strncmp(maker, protocols[i].name, length) || !strspn(maker + length, "46") || maker[length + 1])
			continue;
		step->protocol = (int)i;
		step->family = maker[length] - '0';
	}
	NEED_AT(at, step->family,
		"a socket kind (tcp4 tcp6 udp4 udp6 mptcp4 mptcp6 sctp4 sctp6 udplite4 udplite6), LISTENER.accept() or OTHER.dup()");
	NEED(maybe("("), "'('");
	while (!maybe(")")) {
		NEED(!step->option_count || maybe(","), "',' or ')'");
		found[step->option_count++] = take_option();
	}
	step->options = keep(found, (size_t)step->option_count * sizeof *found);
	if (maybe_word("as")) {
		for (step->user = USER1; step->user < USERS && !maybe(user_names[step->user]); step->user++)
			;
		NEED(step->user < USERS, "user1, user2 or root");
	}
}

static void read_call(struct step *step)
{
	static const struct { const char *word; int how; } hows[] = {
		{ "RDWR", SHUT_RDWR }, { "RD", SHUT_RD }, { "WR", SHUT_WR },
	};
	struct option option = { 0 };
	size_t i, sign, digits;

	NEED(maybe("."), "'.' or '='");
	for (step->verb = 0; step->verb < CREATE && !maybe_word(verb_names[step->verb]); step->verb++)
		;
	NEED_AT(line.token, step->verb < CREATE || !maybe_word("accept"), "NAME = LISTENER.accept()");
	NEED_AT(line.token, step->verb < CREATE || !maybe_word("dup"), "NAME = OTHER.dup()");
	NEED(step->verb < CREATE,
		"one of close, disconnect, eof, name, recv, send, bind, connect, sendto, get, listen, set, shutdown");
	NEED(maybe("("), "'('");
	switch (step->verb) {
	case BIND:
	case CONNECT:
	case SENDTO:
		take_address(step);
		break;
	case GET:
	case SET:
		if (step->verb == SET)
			option = take_option();
		else
			option.known = take_option_name();
		step->options = keep(&option, sizeof option);
		break;
	case LISTEN:
		sign = *next() == '-';
		digits = span(line.at + sign, DIGIT, 9, IDENT);
		step->argument = digits ? atoi(line.at) : 8;
		line.at += digits ? sign + digits : 0;
		break;
	case SHUTDOWN:
		for (i = 0; i < COUNT(hows) && !maybe_word(hows[i].word); i++)
			;
		NEED(i < COUNT(hows), "RD, WR or RDWR");
		step->argument = hows[i].how;
		break;
	default:
		break;
	}
	NEED(maybe(")"), "')'");
}

/* A value of at most 201 characters, one blank between its words. */
static const char *take_words(void)
{
	char words[4 * MAX_LINE + 1];
	size_t length = 0;
	int count = 0;

	NEED(*next(), "a value");
	for (bool blank = false; *line.at && (count += characters(line.at, 1)) <= 201; line.at++) {
		if (!strspn(line.at, BLANK)) {
			words[length] = ' ';
			length += blank;
			words[length++] = *line.at;
		}
		blank = strspn(line.at, BLANK);
	}
	return keep_text(words, length);
}

static void read_environment(struct step *step)
{
	static const char name_expected[] = "the name of a setting, such as net.ipv4.tcp_tw_reuse";
	char words[MAX_LINE];
	const char *at;
	size_t first, length, more;

	switch (step->verb) {
	case SYSCTL:
		first = length = strspn(next(), IDENT);
		do
			more = strspn(line.at + length, "./") ? strspn(line.at + length + 1, IDENT "-") : 0;
		while (length && more && (length += 1 + more));
		step->setting = take(length > first ? length : 0, name_expected);
		NEED(maybe("="), "'='");
		step->text = take_words();
		break;
	case EPHEMERAL:
		step->text = take(pair_length(next(), 5, IDENT), "LOW-HIGH");
		NEED_AT(line.token, atoi(step->text) >= 1 && atoi(step->text) <= high_of(step->text) &&
			high_of(step->text) <= 65535, "LOW-HIGH with 1 <= LOW <= HIGH <= 65535");
		break;
	case ADDRESS:
		length = take_host(&step->address, strchr(line.text, ':') ? 6 : 4);
		step->text = keep_text(line.token, length);
		at = line.at;
		if (take_device(&step->address)) {
			NEED_AT(at, step->address.family == 6 && step->address.bytes[0] == 0xFE &&
				(step->address.bytes[1] & 0xC0) == 0x80, "a device of a link-local address only");
			step->text = keep_text(words, (size_t)sprintf(words, "%s%%%s", step->text, step->address.device));
		}
		break;
	default:
		step->text = take(device_length(next()), "an interface name");
	}
}

/* Whether a line above makes an interface. */
static bool is_made(const char *device)
{
	FOR_EACH_STEP(step)
		if (step->verb == DEVICE && !strcmp(step->text, device))
			return true;
	return !strcmp(device, "lo");
}

/* A socket may have the name `wait` too, but then `=` or `.` follows. */
static bool maybe_wait(void)
{
	const char *word = next();

	if (maybe_word("wait") && strspn(line.at, BLANK) && !strspn(next(), "=."))
		return true;
	line.at = word;
	return false;
}

static void read_wait(struct step *step)
{
	size_t length = strspn(next(), DIGIT), part = line.at[length] == '.' ? strspn(line.at + length + 1, DIGIT) : 0;

	if (length > 4 || part > 6 || strspn(line.at + length + (part ? part + 1 : 0), IDENT "."))
		length = 0;
	step->seconds = strtod(take(length ? length + (part ? part + 1 : 0) : 0, "seconds"), NULL);
}

/* A name is bound once, and `close` ends it; a port may be asked of one that is closed. */
static void find_names(struct step *step)
{
	const char *used = line.of ? line.of : line.name;
	struct name *name = find(used, false, false);

	NEED_AT(line.text, (step->verb != CREATE && !line.of) || !find(line.name, false, false),
		"a new name, %s is bound already", line.name);
	NEED_AT(line.text + (line.of ? strlen(line.name) + 3 : 0), step->verb == CREATE || (name && name->open),
		"a socket that was made above and is open, %s %s", used, name ? "was closed" : "is not");
	if (line.owner)
		step->address.owner = find(line.owner, false, false);
	NEED_AT(line.text + line.owner_at, !line.owner || step->address.owner,
		"the port of a socket made above, %s is not", line.owner);
	if (line.symbol)
		step->address.symbol = find(line.symbol, true, true);
	if (line.of)
		step->of = name;
	step->name = find(line.name, false, true);
	step->name->open = step->verb != CLOSE;
	step->occurrence = ++step->name->labels[step->verb];
}

/* Read `line.text`. */
static void read_step(void)
{
	struct step step = { 0 };

	line.at = line.text;
	line.name = line.of = line.owner = line.symbol = NULL;
	line.owner_at = 0;
	for (step.verb = SYSCTL; step.verb < VERBS; step.verb++) {
		size_t length = strlen(verb_names[step.verb]);

		if (!strncmp(line.text, verb_names[step.verb], length) && strspn(line.text + length, BLANK)) {
			line.at += length;
			read_environment(&step);
			break;
		}
	}
	if (step.verb == VERBS && maybe_wait()) {
		step.verb = WAIT;
		read_wait(&step);
	} else if (step.verb == VERBS) {
		line.name = take(name_length(next()), "a name, 'wait' or an environment line");
		if (maybe("="))
			read_creation(&step);
		else
			read_call(&step);
		step.survives = maybe("?");
	}
	NEED(!*next(), "the end of the line");
	NEED_AT(line.text, the.end < the.steps + MAX_STEPS, "at most %d steps in a scenario", MAX_STEPS);
	the.waits += step.seconds;
	NEED_AT(line.text, the.waits <= MAX_WAIT, "waits of at most %d s in all", MAX_WAIT);
	if (line.name)
		find_names(&step);
	else
		NEED_AT(line.text, step.verb == WAIT || !the.name_count, "environment lines before the first socket");
	if (step.verb == ADDRESS && step.address.device)
		NEED_AT(strchr(line.text, '%') + 1, is_made(step.address.device), "lo or a device made above, %s is not",
			step.address.device);
	*the.end++ = step;
}

/* [LOW-HIGH] in the body of a line. */
struct range { size_t at, length; int low, size; };

static size_t find_ranges(struct range *ranges)
{
	size_t count = 0;

	for (const char *c = line.body; (c = strchr(c, '[')) != NULL; c++) {
		size_t length = pair_length(c + 1, 9, IDENT);
		int low = atoi(c + 1);

		if (length && c[length + 1] == ']')
			ranges[count++] = (struct range) {
				(size_t)(c - line.body), length + 2, low, high_of(c) - low + 1,
			};
	}
	return count;
}

/* Make `line.text` of `line.body`, each range replaced by its number at `offset`. */
static void expand(const struct range *ranges, size_t count, int offset)
{
	size_t at = 0, to = 0;

	while (line.body[at]) {
		if (count && ranges->at == at) {
			for (int length = sprintf(line.text + to, "%d", ranges->low + offset); length; length--)
				line.origin[to++] = (short)at;
			at += ranges++->length;
			count--;
		} else {
			line.origin[to] = (short)at;
			line.text[to++] = line.body[at++];
		}
	}
	line.text[to] = 0;
	line.origin[to] = (short)strlen(line.body);
}

static void read_body(void)
{
	static struct range ranges[MAX_LINE];
	size_t count = find_ranges(ranges);

	expand(ranges, 0, 0);
	for (const struct range *range = ranges; range < ranges + count; range++) {
		NEED_AT(line.text + range->at, range->size >= 1, "a range from low to high");
		NEED_AT(line.text + range->at, range->size == ranges->size,
			"a range of %d numbers, as the first on this line", ranges->size);
		NEED_AT(line.text + range->at, range->size <= MAX_STEPS, "at most %d steps in a scenario", MAX_STEPS);
	}
	for (int offset = 0; offset < (count ? ranges->size : 1); offset++) {
		expand(ranges, count, offset);
		read_step();
	}
}

/* Where reading has come to in the whole text. */
struct place {
	const char *at;              /* NULL: the end */
	int number;                  /* of the line */
	int more;                    /* steps beyond one a line */
	long size;                   /* characters of all that the lines so far stand for */
};

/* Read one scenario, up to the line that opens the next. */
static void read_scenario(struct place *place)
{
	const struct step *before;

	begin_scenario();
	for (; place->at; place->number++) {
		const char *start = place->at, *stop = start + strcspn(start, "\n");
		const char *end = stop - (stop > start && stop[-1] == '\r');
		bool title = !strncmp(start, "---", 3);
		long length = (long)characters(start, (size_t)(end - start)), steps = 1;

		if (title && the.title)
			return;
		place->at = *stop ? stop + 1 : NULL;
		if (place->number + place->more > MAX_LINES)
			fail(place->number, 1, "at most %d lines and steps in a file", MAX_LINES);
		if (place->size > MAX_TEXT)
			fail(place->number, 1, "at most %d characters in all steps of a file", MAX_TEXT);
		if (length > MAX_LINE)
			fail(place->number, MAX_LINE + 1, "a line of at most %d characters", MAX_LINE);
		if (title && the.end > the.steps)
			fail(place->number, 1, "'--- TITLE' above the first step too");
		if (!title && memchr(start, '#', (size_t)(end - start)))
			end = strchr(start, '#');
		start += title ? 3 : 0;
		line.indent = (int)strspn(start, BLANK);
		for (start += line.indent; end > start && strspn(end - 1, BLANK); )
			end--;
		if (title && start == end)
			fail(place->number, 4, "a title");
		if (title) {
			the.title = keep_text(start, (size_t)(end - start));
		} else if (start < end) {
			memcpy(line.body, start, (size_t)(end - start));
			line.body[end - start] = 0;
			line.number = place->number;
			before = the.end;
			read_body();
			steps = the.end - before;
		}
		place->more += (int)steps - 1;
		place->size += steps * length;
	}
}

/* One character of UTF-8: its length, or 0 where it is none. */
static int decode(const char *text, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *bytes = (const unsigned char *)text;
	int more = (*bytes >= 0xC0) + (*bytes >= 0xE0) + (*bytes >= 0xF0);

	if ((*bytes >= 0x80 && !more) || *bytes >= 0xF8)
		return 0;
	*code = more ? *bytes & (0x3Fu >> more) : *bytes;
	for (int i = 1; i <= more; i++) {
		if ((bytes[i] & 0xC0) != 0x80)
			return 0;
		*code = *code << 6 | (bytes[i] & 0x3F);
	}
	return *code < least[more] || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000) ? 0 : more + 1;
}

/* All of the text, which a NUL ends behind `end`, is UTF-8; and printable. */
static void check_text(const char *text, const char *end, bool printable)
{
	int number = 1, column = 1, length;
	uint32_t code;

	for (; text < end; text += length) {
		length = decode(text, &code);
		if (!length)
			fail(number, column, "UTF-8 text");
		if (printable && (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029) &&
		    code != '\t' && code != '\n' && !(code == '\r' && text[1] == '\n'))
			fail(number, column, "printable text");
		column = code == '\n' ? 1 : column + 1;
		number += code == '\n';
	}
}

/* All of standard input. */
static char *read_input(void)
{
	size_t room = 1 << 16, size = 0, got;
	char *text = allocated(malloc(room + 1));

	while ((got = fread(text + size, 1, room - size, stdin)) > 0) {
		size += got;
		if (size > MAX_TEXT)
			fail(1, 1, "at most %d bytes", MAX_TEXT);
		if (size == room)
			text = allocated(realloc(text, (room = room * 2 > MAX_TEXT ? MAX_TEXT + 1 : room * 2) + 1));
	}
	if (ferror(stdin)) {
		fprintf(stderr, "<stdin>: %s\n", strerror(errno));
		exit(2);
	}
	text[size] = 0;
	if (!strncmp(text, "\xEF\xBB\xBF", 3))
		memmove(text, text + 3, (size -= 3) + 1);
	check_text(text, text + size, false);
	check_text(text, text + size, true);
	return text;
}

/* --- platform: which one this is ---------------------------------------------------------------------------------- */

static char platform[80];
#ifdef __linux__
static bool is_gvisor;
#endif

/* The numbers that a release begins with: 6.17.0 of 6.17.0-1022-azure. */
static const char *version(const char *release)
{
	static char numbers[48];
	int number, digits;
	char *to = numbers;

	for (int i = 0; i < 4 && strspn(release, DIGIT) && sscanf(release, "%9d%n", &number, &digits) == 1; i++) {
		to += sprintf(to, i ? ".%d" : "%d", number);
		release += digits + (release[digits] == '.');
		if (release[-1] != '.')
			break;
	}
	*to = 0;
	return numbers;
}

#ifdef _WIN32
/* The names of Windows by build, as in conformance/platforms.toml. */
static const struct { unsigned build; bool server; const char *name; } builds[] = {
	{ 14393, true, "server-2016" }, { 17763, true, "server-2019" }, { 20348, true, "server-2022" },
	{ 26100, true, "server-2025" }, { 19045, false, "10" }, { 26100, false, "11" },
};

static void find_platform(void)
{
	typedef LONG (WINAPI *get_version)(OSVERSIONINFOEXW *);
	typedef const char *(CDECL *get_wine)(void);
	HMODULE ntdll = GetModuleHandleA("ntdll.dll");
	get_wine wine = (get_wine)(void (*)(void))GetProcAddress(ntdll, "wine_get_version");
	OSVERSIONINFOEXW found = { .dwOSVersionInfoSize = sizeof found };
	const char *name = NULL;

	((get_version)(void (*)(void))GetProcAddress(ntdll, "RtlGetVersion"))(&found);
	for (size_t i = 0; i < COUNT(builds); i++)
		if (builds[i].server == (found.wProductType == 3) && (!name || builds[i].build <= found.dwBuildNumber))
			name = builds[i].name;
	snprintf(platform, sizeof platform, "windows-%s", name);
	if (wine)
		snprintf(platform, sizeof platform, "wine-%s", version(wine()));
}
#else
#if defined(__linux__) || defined(__sun)
/* The first bytes of a file; empty where it cannot be read. */
static const char *read_file(const char *path)
{
	static char text[4096];
	FILE *file = fopen(path, "r");

	text[file ? fread(text, 1, sizeof text - 1, file) : 0] = 0;
	if (file)
		fclose(file);
	return text;
}
#endif

#ifdef __linux__
/* Linux, or what calls itself Linux. The version is the upstream one, also where a vendor numbers differently. */
static void find_platform(void)
{
	const char *stack = "linux", *upstream, *debian;
	char signature[128];
	struct utsname found;

	uname(&found);
	upstream = found.release;
	debian = strstr(found.version, "Debian ");
	is_gvisor = !strcmp(found.version, "#1 SMP Sun Jan 10 15:06:54 PST 2016") || strstr(found.release, "gvisor") ||
		strstr(read_file("/proc/cmdline"), "-gvisor");
	if (is_gvisor) {
		stack = "gvisor";
		upstream = strncmp(found.release, "4.4", 3) ? "20260427" : "20240729";
	} else if (strstr(found.release, "Microsoft") && !strstr(found.release, "microsoft-standard")) {
		stack = "wsl1";
	} else if (debian && strspn(debian + 7, DIGIT)) {
		upstream = debian + 7;
	} else if (sscanf(read_file("/proc/version_signature"), "Ubuntu %*s %127s", signature) == 1) {
		upstream = signature;
	}
	snprintf(platform, sizeof platform, "%s-%s", stack, version(upstream));
}
#else
static void find_platform(void)
{
	struct utsname found;
	int length;

	uname(&found);
	length = snprintf(platform, sizeof platform, "%s-%s", found.sysname, version(found.release));
	for (char *c = platform; c < platform + length && *c != '-'; c++)
		*c |= strspn(c, UPPER) ? 'a' - 'A' : 0;
#ifdef __APPLE__
	char label[64];
	size_t size = sizeof label;

	if (!sysctlbyname("kern.osproductversion", label, &size, NULL, 0))
		snprintf(platform, sizeof platform, "macos-%s", label);
#elif defined(__sun) /* by the release of the distribution; Oracle Solaris is another system */
	const char *hipster = strstr(read_file("/etc/os-release"), "\nVERSION="); /* OpenIndiana */

	if (strspn(found.version, DIGIT))
		snprintf(platform, sizeof platform, "solaris-%s", version(found.version));
	else if (!strncmp(found.version, "omnios-r", 8))
		snprintf(platform, sizeof platform, "illumos-r%s", version(found.version + 8));
	else if (!strncmp(found.version, "joyent_", 7))
		snprintf(platform, sizeof platform, "illumos-%.8s", found.version + 7);
	else
		snprintf(platform, sizeof platform, "illumos-%s",
			version(hipster ? hipster + 9 + (hipster[9] == '"') : found.release));
#endif
}
#endif
#endif

/* --- environment: a network for each scenario, or loopback and held ports ----------------------------------------- */

/* Where a scenario runs: on the host, among others; in a network namespace, which the root of a user namespace or root
 * makes; in a jail with a network of its own; in the machine's network, which is there for this alone. */
static enum { HOST, USERNS, NETNS, JAIL, OWN_MACHINE } isolation;
static bool machine_is_ours; /* option -m */
static int processes; /* option -j */

static int last_port; /* that was dealt to a symbol, 0: none in this network */

enum entered { READY, NOT_RUN, BROKEN };
static char why[2 * MAX_LINE]; /* the scenario in hand is not run, or broke */

static enum entered because(enum entered how, const char *reason, ...)
{
	va_list values;

	va_start(values, reason);
	vsnprintf(why, sizeof why, reason, values);
	va_end(values);
	return how;
}

/* What socket calls take. */
union endpoint {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
	char bytes[28];
};

static const struct address loopback4 = { .family = 4, .bytes = { 127, 0, 0, 1 } };
static const struct address loopback6 = { .family = 6, .bytes = { [15] = 1 } };
static const struct address any4 = { .family = 4 }, any6 = { .family = 6 };

static void *address_in(const union endpoint *endpoint)
{
	return (char *)endpoint + (endpoint->any.sa_family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
		: offsetof(struct sockaddr_in6, sin6_addr));
}

/* The number of an interface; one that none has where there is none of that name. `lo` is the loopback interface. */
static uint32_t index_of(const char *device)
{
	static const char *const loopback[] = { "lo", "lo0", "loopback_0" };
	uint32_t index = if_nametoindex(device);

	for (size_t i = 0; !index && !strcmp(device, "lo") && i < COUNT(loopback); i++)
		index = if_nametoindex(loopback[i]);
	return index ? index : INT32_MAX;
}

static const char *device_of(uint32_t index)
{
	static char name[IF_NAMESIZE + 16];

	if (!if_indextoname(index, name))
		sprintf(name, "%u", (unsigned)index);
	return index == index_of("lo") ? "lo" : name;
}

static socklen_t fill(union endpoint *to, const struct address *address, int port)
{
	bool four = address->family == 4;

	memset(to, 0, sizeof *to);
	to->any.sa_family = four ? AF_INET : AF_INET6;
	to->four.sin_port = htons((uint16_t)port); /* of either family */
	memcpy(address_in(to), address->bytes, four ? 4 : 16);
	if (address->device)
		to->six.sin6_scope_id = index_of(address->device);
	return four ? sizeof to->four : sizeof to->six;
}

static bool is_loopback(const struct address *address)
{
	static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };

	if (address->family == 4)
		return address->bytes[0] == 127;
	return !memcmp(address->bytes, loopback6.bytes, 16) ||
		(!memcmp(address->bytes, mapped, sizeof mapped) && address->bytes[12] == 127);
}

/* A socket that is bound, else INVALID_SOCKET. */
static sock bound(const struct address *address, int type, int port)
{
	sock made = socket(address->family == 4 ? AF_INET : AF_INET6, type, 0);
	union endpoint to;
	socklen_t size = fill(&to, address, port);
#ifdef _WIN32
	setsockopt(made, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&(int) { 1 }, sizeof(int));
#endif
	if (made == INVALID_SOCKET || !bind(made, &to.any, size))
		return made;
	close(made);
	return INVALID_SOCKET;
}

static bool can_bind(const struct address *address, int type, int port)
{
	sock made = bound(address, type, port);

	if (made != INVALID_SOCKET)
		close(made);
	return made != INVALID_SOCKET;
}

static bool has_ipv6(void)
{
	static int known = -1;

	if (known < 0)
		known = can_bind(&loopback6, SOCK_STREAM, 0);
	return known;
}

static bool is_free(int port)
{
	const struct address *four = isolation == OWN_MACHINE ? &any4 : &loopback4;
	const struct address *six = isolation == OWN_MACHINE ? &any6 : &loopback6;

	return can_bind(four, SOCK_STREAM, port) && can_bind(four, SOCK_DGRAM, port) &&
		(!has_ipv6() || (can_bind(six, SOCK_STREAM, port) && can_bind(six, SOCK_DGRAM, port)));
}

/* The settings that are the range of the ports which the system chooses. */
#if defined(__FreeBSD__) || defined(__DragonFly__) || defined(__APPLE__)
#define RANGE "net.inet.ip.portrange."
#define LOW RANGE "first"
#define HIGH RANGE "last"
#elif defined(__NetBSD__)
#define LOW "net.inet.ip.anonportmin"
#define HIGH "net.inet.ip.anonportmax"
#endif

#ifdef LOW
/* A setting that is a number; `otherwise` where there is none. */
static int number_of(const char *name, int otherwise)
{
	int number = 0;
	size_t size = sizeof number;

	return sysctlbyname(name, &number, &size, NULL, 0) ? otherwise : number;
}
#endif

/* The ports that the OS picks by itself, as far as it tells. */
static void find_ephemeral(int *low, int *high)
{
#if defined(__linux__)
	*low = 32768;
	*high = 60999;
	sscanf(read_file("/proc/sys/net/ipv4/ip_local_port_range"), "%d %d", low, high);
#elif defined(LOW)
	*low = number_of(LOW, 49152);
	*high = number_of(HIGH, 65535);
#elif defined(__OpenBSD__)
	size_t size = sizeof *low;

	*low = 1024;
	*high = 49151;
	sysctl((int[]) { CTL_NET, PF_INET, IPPROTO_IP, IPCTL_IPPORT_FIRSTAUTO }, 4, low, &size, NULL, 0);
	sysctl((int[]) { CTL_NET, PF_INET, IPPROTO_IP, IPCTL_IPPORT_LASTAUTO }, 4, high, &size, NULL, 0);
#elif defined(__sun)
	*low = 32768;
	*high = 65535;
#else
	*low = 49152;
	*high = 65535;
#endif
}

/* The first port that anybody may bind. */
static int first_unprivileged(void)
{
	int start = 1024;
#if defined(__linux__)
	sscanf(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start"), "%d", &start);
#elif defined(RANGE)
	start = number_of(RANGE "reservedhigh", 1023) + 1;
#endif
	return start;
}

/* A port that is free for TCP and UDP on loopback and given to nobody else; 0 where none is left. The ports outside the
 * ephemeral range are dealt in blocks; whoever listens on a block's first port owns it (see live/port_blocks.py). */
static int held_port(void)
{
	enum { BLOCK = 32, LOWEST = 5120, BLOCKS = (65536 - LOWEST) / BLOCK };
	static int tried, first, left;
	int low, high;

	find_ephemeral(&low, &high);
	for (;;) {
		sock lock;

		while (left)
			if (is_free(first + left--))
				return first + left + 1;
		if (tried == BLOCKS)
			return 0;
		first = LOWEST + (int)(((unsigned)getpid() * 7u + (unsigned)tried++) % BLOCKS) * BLOCK;
		if (first + BLOCK > low && first <= high)
			continue;
		lock = bound(&loopback4, SOCK_STREAM, first);
		if (lock != INVALID_SOCKET && !listen(lock, 1))
			left = BLOCK - 1;
	}
}

/* Whether the scenario would reach beyond loopback and ports that are held. */
static bool touches_the_host(void)
{
	static const char *const all_local_on[] = { "linux-", "gvisor-", "wsl1-", "windows-", "wine-" };
	static bool has_port[COUNT(the.names)];
	bool all_local = false;

	for (size_t i = 0; i < COUNT(all_local_on); i++)
		all_local |= !strncmp(platform, all_local_on[i], strlen(all_local_on[i]));
	memset(has_port, 0, sizeof has_port);
	FOR_EACH_STEP(step) {
		bool *mine = &has_port[step->name ? step->name - the.names : 0];

		if (step->text && !(step->verb == ADDRESS && all_local))
			return true;
		if (step->user || ((step->verb == LISTEN || step->verb == SENDTO) && !*mine))
			return true; /* the OS binds it, to a wildcard address */
		if ((step->verb == BIND || step->verb == CONNECT) && !step->survives)
			*mine = true;
		else if (step->verb == DISCONNECT)
			*mine = false;
		if (step->address.family && (!is_loopback(&step->address) || step->address.port))
			return true;
	}
	return false;
}

static enum entered on_the_host(void)
{
	if (touches_the_host())
		return because(NOT_RUN, "needs a network namespace ("
#ifdef __linux__
			"run as root, or allow unprivileged user namespaces: sysctl user.max_user_namespaces, "
			"on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0, "
			"in a container CAP_SYS_ADMIN or another seccomp profile)");
#else
			"this OS has none, and wildcard addresses, settings and other users are left alone on a host)");
#endif
	FOR_EACH_NAME(name)
		if (name->is_symbol && !(name->port = held_port()))
			return because(BROKEN, "no block of ports is left on this host");
	return READY;
}

#if defined(__linux__) || defined(HAS_SETTINGS)
/* The setting of this line could not be made. */
static enum entered refused(const struct step *step, int error)
{
	bool named = step->verb == SYSCTL;

	return because(NOT_RUN, "'%s %s%s%s' is refused (%s)", verb_names[step->verb], named ? step->setting : "",
		named ? " = " : "", step->text, errno_name(error));
}
#endif

#ifdef __linux__
/* A request by netlink. */
struct request {
	struct nlmsghdr head;
	char body[512];
};

static void put(struct request *request, const void *bytes, size_t size)
{
	memcpy((char *)request + request->head.nlmsg_len, bytes, size);
	request->head.nlmsg_len += (uint32_t)NLMSG_ALIGN(size);
}

static void put_attribute(struct request *request, int type, const void *bytes, size_t size)
{
	struct rtattr head = { (unsigned short)RTA_LENGTH(size), (unsigned short)type };

	put(request, &head, sizeof head);
	put(request, bytes, size);
}

static struct request request_of(int type, int flags, const void *body, size_t size)
{
	struct request request = {
		.head = { sizeof request.head, (uint16_t)type, (uint16_t)(NLM_F_REQUEST | flags), 1, 0 },
	};

	put(&request, body, size);
	return request;
}

/* Send it by `link`, or by one of its own (-1); `answer` takes what comes back. Returns 0 or an errno. */
static int ask(int link, const struct request *request, void *answer, size_t size)
{
	union { struct nlmsghdr head; char bytes[8192]; } got = { .head = { .nlmsg_type = NLMSG_NOOP } };
	int by = link < 0 ? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) : link;
	bool done = by >= 0 && send(by, request, request->head.nlmsg_len, 0) >= 0 && recv(by, &got, sizeof got, 0) >= 0;
	const struct nlmsgerr *refusal = NLMSG_DATA(&got.head);
	int error = !done ? errno : got.head.nlmsg_type == NLMSG_ERROR ? -refusal->error : 0;

	if (by >= 0 && by != link)
		close(by);
	if (answer && !error)
		memcpy(answer, NLMSG_DATA(&got.head), size);
	return error;
}

enum { NEW = NLM_F_CREATE | NLM_F_EXCL };

/* An interface of the first type that this kernel has. */
static int add_device(const char *name)
{
	static const char *const types[] = { "dummy", "bridge", "veth" };
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	int error = EOPNOTSUPP;

	for (size_t i = 0; i < COUNT(types) && error == EOPNOTSUPP; i++) {
		struct request request = request_of(RTM_NEWLINK, NLM_F_ACK | NEW, &body, sizeof body);
		struct { struct rtattr head; char type[8]; } info = { { 0, IFLA_INFO_KIND }, "" };

		memcpy(info.type, types[i], strlen(types[i]));
		info.head.rta_len = (unsigned short)RTA_LENGTH(strlen(types[i]));
		put_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
		put_attribute(&request, IFLA_LINKINFO, &info, info.head.rta_len);
		error = ask(-1, &request, NULL, 0);
	}
	return error;
}

/* A route of the table `local` by a device, made or deleted. */
static struct request local_route(int type, int flags, const struct address *address, int bits, uint32_t device)
{
	bool four = address->family == 4;
	struct rtmsg body = {
		.rtm_family = four ? AF_INET : AF_INET6, .rtm_dst_len = (unsigned char)bits,
		.rtm_table = RT_TABLE_LOCAL, .rtm_protocol = RTPROT_KERNEL, .rtm_type = RTN_LOCAL,
		.rtm_scope = four ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
	};
	struct request request = request_of(type, NLM_F_ACK | flags, &body, sizeof body);

	put_attribute(&request, RTA_DST, address->bytes, four ? 4 : 16);
	put_attribute(&request, RTA_OIF, &device, sizeof device);
	return request;
}

static int add_address(const struct address *address)
{
	bool four = address->family == 4;
	uint32_t device = if_nametoindex(address->device ? address->device : "lo");
	struct ifaddrmsg body = {
		.ifa_family = four ? AF_INET : AF_INET6, .ifa_prefixlen = four ? 32 : 128,
		.ifa_flags = four ? 0 : IFA_F_NODAD, .ifa_index = device,
	};
	struct request request = request_of(RTM_NEWADDR, NLM_F_ACK | NEW, &body, sizeof body);
	int error;

	put_attribute(&request, IFA_ADDRESS, address->bytes, four ? 4 : 16);
	put_attribute(&request, IFA_LOCAL, address->bytes, four ? 4 : 16);
	error = ask(-1, &request, NULL, 0);
	if (four || (error && error != EEXIST))
		return error == EEXIST ? 0 : error;
	request = local_route(RTM_NEWROUTE, NLM_F_CREATE, address, 128, device); /* which the kernel enters later */
	error = ask(-1, &request, NULL, 0);
	return error == EEXIST ? 0 : error;
}

/* Have loopback acknowledge at once, where the kernel lets it: no FIN then waits for a delayed acknowledgement. */
static void hurry(void)
{
	static const struct address net = { .family = 4, .bytes = { 127 } };
	static const struct { const struct address *to; int bits; } routes[] = {
		{ &net, 8 }, { &loopback4, 32 }, { &loopback6, 128 },
	};
	struct { struct rtattr head; uint32_t on; } quickack = { { sizeof quickack, RTAX_QUICKACK }, 1 };

	for (size_t i = 0; i < COUNT(routes); i++) {
		struct request request = local_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, routes[i].to, routes[i].bits, 1);

		if (routes[i].to->family == 4)
			put_attribute(&request, RTA_PREFSRC, loopback4.bytes, 4);
		put_attribute(&request, RTA_METRICS, &quickack, sizeof quickack);
		if (ask(-1, &request, NULL, 0))
			return;
	}
	struct request own = local_route(RTM_DELROUTE, 0, &loopback6, 128, 1); /* which has a better metric */
	ask(-1, &own, NULL, 0);
}

static int write_file(const char *path, const char *text, int flags)
{
	int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
	int error = file < 0 || write(file, text, strlen(text)) < 0 ? errno : 0;

	if (file >= 0)
		close(file);
	return error;
}

/* Become root of a user namespace of one's own, in which network namespaces may be made. */
static int own_user_namespace(void)
{
	char user[32], group[32];
	int error;

	sprintf(user, "0 %u 1", (unsigned)geteuid());
	sprintf(group, "0 %u 1", (unsigned)getegid());
	error = unshare(CLONE_NEWUSER) ? errno : write_file("/proc/self/setgroups", "deny", 0);
	error = error ? error : write_file("/proc/self/uid_map", user, 0);
	return error ? error : write_file("/proc/self/gid_map", group, 0);
}

/* Make a network namespace and move into it. */
static int new_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int error = unshare(CLONE_NEWNET) ? errno : 0, any = error ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!error && (any < 0 || (ioctl(any, SIOCSIFFLAGS, &lo) && errno != ENOTTY))) /* gVisor: up from the start */
		error = errno;
	if (any >= 0)
		close(any);
	return error;
}

/* Tried in children, for a half-made namespace cannot be left again. */
static void isolate(void)
{
	for (isolation = NETNS; isolation != HOST; isolation--) {
		int status = 1;
		pid_t child = fork();

		if (!child)
			_exit((isolation == USERNS && own_user_namespace()) || new_network());
		if (child > 0 && waitpid(child, &status, 0) == child && !status)
			break;
	}
	if (isolation == USERNS && own_user_namespace()) {
		fputs("runner: a user namespace could be made, and now cannot\n", stderr);
		exit(1);
	}
}

/* Such a name of a family, and up to four words after it; net.core.somaxconn. */
static bool is_isolated_setting(const char *name)
{
	static const char *const families[] = { "net.ipv4", "net.ipv6", "net.mptcp", "net.sctp" };
	int words = 0;
	size_t family;

	if (!strcmp(name, "net.core.somaxconn"))
		return true;
	for (family = 0; strncmp(name, families[family], strlen(families[family])); family++)
		if (family == sizeof families / sizeof *families - 1)
			return false;
	for (name += strlen(families[family]); *name == '.' && strspn(name + 1, IDENT); words++)
		name += 1 + strspn(name + 1, IDENT);
	return !*name && words >= 1 && words <= 4;
}

static enum entered apply_setting(const struct step *step)
{
	const char *name = step->verb == SYSCTL ? step->setting : "net.ipv4.ip_local_port_range";
	char path[MAX_LINE + 32], range[16];
	int error;

	if (isolation == OWN_MACHINE) {
		return because(NOT_RUN, "needs a network namespace, which cannot be made here");
	} else if (step->verb == ADDRESS || step->verb == DEVICE) {
		error = step->verb == ADDRESS ? add_address(&step->address) : add_device(step->text);
	} else if (is_gvisor) {
		return because(NOT_RUN, "the settings of gVisor are those of its whole sandbox, not of a network "
			"namespace");
	} else if (!is_isolated_setting(name)) {
		return because(NOT_RUN, "%s is no setting that a network namespace isolates (net.ipv4.\xE2\x80\xA6, "
			"net.ipv6.\xE2\x80\xA6, net.mptcp.\xE2\x80\xA6, net.sctp.\xE2\x80\xA6, net.core.somaxconn)", name);
	} else {
		for (char *c = path + sprintf(path, "/proc/sys/%s", name); c > path; c--)
			*c = *c == '.' ? '/' : *c;
		snprintf(range, sizeof range, "%d %d", atoi(step->text), high_of(step->text));
		error = write_file(path, step->verb == SYSCTL ? step->text : range, O_CREAT | O_TRUNC);
		if (error == ENOENT)
			return because(NOT_RUN, "this kernel has no setting %s", name);
	}
	return error ? refused(step, error) : READY;
}

/* How scenarios may share a network; live/sharing.py has the argument. */
enum sharing { ALONE, IF_EMPTY, BY_PORTS };

static enum sharing sharing(void)
{
	enum sharing found = BY_PORTS;

	FOR_EACH_STEP(step) {
		const struct address *address = &step->address;

		if (step->verb == CREATE && !strcmp(protocols[step->protocol].name, "sctp"))
			return ALONE;
		for (int i = 0; i < step->option_count; i++)
			if (step->options[i].known->form == PORTS)
				found = IF_EMPTY;
		if (step->of && step->of->at_symbol)
			step->name->at_symbol = true;
		if (step->text || (address->family && !address->symbol && !(address->owner && address->owner->at_symbol)))
			found = IF_EMPTY;
		if (step->verb == BIND && !step->survives)
			step->name->at_symbol = true;
	}
	return found;
}

/* A network that scenarios with the same environment share. */
static struct network {
	enum sharing how;
	char environment[1000];
	int place, counts[2]; /* descriptors: of it, and of what the kernel counts in it */
	int left, last_port;  /* scenarios and ports that it has yet for symbols; the last of them */
	unsigned used;        /* when, 0: not made */
} networks[16], *network, *here; /* that of the scenario in hand; where this process is */

static void leave_for_good(struct network *old)
{
	if (old->used) {
		close(old->place);
		close(old->counts[0]);
		close(old->counts[1]);
	}
	if (here == old)
		here = NULL;
	old->used = 0;
	old->left = 0;
}

/* Whether the kernel shows no socket in use here, and no connection in TIME_WAIT. */
static bool is_empty(const struct network *network)
{
	char text[1000];

	for (size_t i = 0; i < COUNT(network->counts); i++) {
		ssize_t size = pread(network->counts[i], text, sizeof text - 1, 0);

		if (size <= 0 && i == 0)
			return false;
		text[size > 0 ? size : 0] = 0;
		for (const char *at = text; (at = strchr(at, ' ')); at++)
			if ((!strncmp(at, " inuse ", 7) && at[7] != '0') || (!strncmp(at, " tw ", 4) && at[4] != '0'))
				return false;
	}
	return true;
}

/* The lines of the environment, and whether there is room for them. */
static bool describe(char *environment, size_t room)
{
	size_t size = 0;

	*environment = 0;
	FOR_EACH_STEP(step)
		if (step->text && size < room)
			size += (size_t)snprintf(environment + size, room - size, "%s %s %s\n", verb_names[step->verb],
				step->verb == SYSCTL ? step->setting : "", step->text);
	return size < room;
}

static enum entered make_network(struct network *new)
{
	enum entered entered = READY;
	int error = new_network();

	here = NULL;
	if (error)
		return because(BROKEN, "no network can be made for a scenario (%s)", errno_name(error));
	hurry();
	FOR_EACH_STEP(step)
		if (step->text && entered == READY)
			entered = apply_setting(step);
	if (entered != READY)
		return entered;
	new->place = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	new->counts[0] = open("/proc/self/net/sockstat", O_RDONLY | O_CLOEXEC);
	new->counts[1] = open("/proc/self/net/sockstat6", O_RDONLY | O_CLOEXEC);
	new->last_port = 0;
	new->left = 20000;
	if (new->how == BY_PORTS && write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "65536", 0))
		new->left = 200;
	here = new;
	return READY;
}

/* Move to a network that scenarios share, if this one may; `network` says whether. */
static enum entered enter_shared(void)
{
	static unsigned time;
	char environment[sizeof networks->environment];
	enum sharing how = sharing();
	struct network *old = networks, *known = NULL;
	enum entered entered = READY;
	int needs = 1;

	if (how == ALONE || !describe(environment, sizeof environment))
		return READY;
	FOR_EACH_NAME(name)
		needs += name->is_symbol;
	for (struct network *each = networks; each < networks + COUNT(networks); each++) {
		if (each->used && each->how == how && !strcmp(each->environment, environment))
			known = each;
		if (each->used < old->used)
			old = each;
	}
	if (known && (known->left < needs || (here != known && setns(known->place, CLONE_NEWNET)))) {
		old = known;
		known = NULL;
	}
	if (!known) {
		leave_for_good(old);
		old->how = how;
		strcpy(old->environment, environment);
		entered = make_network(old);
		if (entered != READY)
			return entered;
		known = old;
	}
	network = here = known;
	network->used = ++time;
	network->left -= needs;
	last_port = network->last_port;
	return READY;
}

/* The scenario is over: what it left bears on none that comes, or goes with its network. */
static void restore(void)
{
	bool is_stuck = false;

	if (!network)
		return;
	network->last_port = last_port;
	FOR_EACH_STEP(step)
		is_stuck |= step->verb == CONNECT && step->result == TIMEOUT;
	if (network->how == IF_EMPTY && (is_stuck || !is_empty(network)))
		leave_for_good(network);
	network = NULL;
}

#elif defined(HAS_SETTINGS)
/* What a scenario changed in the machine's network, the latest first: a setting with its value before, or a step. */
static struct change {
	struct change *before;
	const char *name;
	const struct step *step;
	size_t size;
	char value[256];
} *changes;

static void note_change(struct change change)
{
	change.before = changes;
	changes = keep(&change, sizeof change);
}

/* A number goes into as many bytes as the setting has; other text as it is. */
static int change_setting(const char *name, const char *text)
{
	struct change change = { .name = name, .size = sizeof change.value };
	union { int8_t one; int32_t four; int64_t eight; } number;
	const void *value = &number;
	size_t size;
	char *end;

	if (sysctlbyname(name, change.value, &change.size, NULL, 0))
		return errno;
	number.eight = strtoll(text, &end, 10);
	size = change.size;
	if (*end || (size != sizeof number.one && size != sizeof number.four && size != sizeof number.eight)) {
		value = text;
		size = strlen(text) + 1;
	} else if (size == sizeof number.one) {
		number.one = (int8_t)number.eight;
	} else if (size == sizeof number.four) {
		number.four = (int32_t)number.eight;
	}
	if (sysctlbyname(name, NULL, NULL, value, size))
		return errno;
	note_change(change);
	return 0;
}

#ifdef __FreeBSD__
#define RANDOM RANGE "randomized"

static bool has_range_of_one(void)
{
	return number_of(LOW, 0) == number_of(HIGH, 1) || number_of(RANGE "hifirst", 0) == number_of(RANGE "hilast", 1) ||
		number_of(RANGE "lowfirst", 0) == number_of(RANGE "lowlast", 1);
}

/* FreeBSD 14 divides by the size of the range, less one, when it chooses a port at random: a range of one port ends the
 * kernel, and from within a jail the host's. So while there is such a range, no port is chosen at random. */
static int change_safely(const char *name, const char *text)
{
	bool random = number_of(RANDOM, 0);
	int error;

	if (!strcmp(name, RANDOM) && has_range_of_one())
		return strcmp(text, "0") ? EBUSY : 0;
	if (strncmp(name, RANGE, strlen(RANGE)) || !strcmp(name, RANDOM) || !random)
		return change_setting(name, text);
	error = change_setting(RANDOM, "0");
	error = error ? error : change_setting(name, text);
	return error || has_range_of_one() ? error : change_setting(RANDOM, "1");
}

/* The kernel takes any bound, and the nearest possible instead. */
static int change_range(const char *low, const char *high)
{
	int error = change_safely(LOW, low);

	error = error ? error : change_safely(HIGH, high);
	return error || (number_of(LOW, 0) == atoi(low) && number_of(HIGH, 0) == atoi(high)) ? error : EINVAL;
}

/* Make a jail with a network of its own and move into it; it ends with its processes. */
static int make_jail(void)
{
	int own = JAIL_SYS_NEW;
	char path[] = "path", root[] = "/", vnet[] = "vnet";
	struct iovec parameters[] = {
		{ path, sizeof path }, { root, sizeof root }, { vnet, sizeof vnet }, { &own, sizeof own },
	};

	return jail_set(parameters, COUNT(parameters), JAIL_CREATE | JAIL_ATTACH) < 0 ? errno : 0;
}
#else
#define change_safely change_setting

/* Both families have a range, and its first port must stay below its last. */
static int change_range(const char *low, const char *high)
{
	static const char *const names[][2] = { { LOW, HIGH }, { "net.inet6.ip6.anonportmin", "net.inet6.ip6.anonportmax" } };
	int error = 0;

	for (size_t i = 0; i < COUNT(names) && !error; i++) {
		bool low_first = atoi(low) < number_of(names[i][1], 65535);

		error = change_setting(names[i][!low_first], low_first ? low : high);
		error = error ? error : change_setting(names[i][low_first], low_first ? high : low);
	}
	return error;
}
#endif

/* Ask for something of an interface; `request` begins with its name. */
static int of_interface(int family, unsigned long what, void *request)
{
	int any = socket(family, SOCK_DGRAM, 0);
	int error = any < 0 || ioctl(any, what, request) ? errno : 0;

	if (any >= 0)
		close(any);
	return error;
}

static int bring_up(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP };

	strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
	return of_interface(AF_INET, SIOCSIFFLAGS, &request);
}

static void fill_with_length(void *to, const struct address *address)
{
	union endpoint endpoint;
	socklen_t size = fill(&endpoint, address, 0);

	endpoint.any.sa_len = (uint8_t)size;
	memcpy(to, &endpoint, size);
}

static int add_address(const struct address *address, int bits)
{
	struct in_aliasreq four = { .ifra_name = "lo0" };
	struct in6_aliasreq six = { .ifra_name = "lo0", .ifra_lifetime = { .ia6t_vltime = ~0u, .ia6t_pltime = ~0u } };
	struct address mask = { .family = address->family };

	for (int bit = 0; bit < bits; bit++)
		mask.bytes[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
	if (address->family == 4) {
		fill_with_length(&four.ifra_addr, address);
		fill_with_length(&four.ifra_mask, &mask);
		return of_interface(AF_INET, SIOCAIFADDR, &four);
	}
#ifdef __FreeBSD__
	six.ifra_flags = IN6_IFF_NODAD; /* NetBSD has none on loopback anyway, and refuses the flag */
#endif
	fill_with_length(&six.ifra_addr, address);
	fill_with_length(&six.ifra_prefixmask, &mask);
	return of_interface(AF_INET6, SIOCAIFADDR_IN6, &six);
}

static int remove_address(const struct address *address)
{
	struct ifreq four = { .ifr_name = "lo0" };
	struct in6_ifreq six = { .ifr_name = "lo0" };

	fill_with_length(address->family == 4 ? (void *)&four.ifr_addr : (void *)&six.ifr_addr, address);
	return address->family == 4 ? of_interface(AF_INET, SIOCDIFADDR, &four) :
		of_interface(AF_INET6, SIOCDIFADDR_IN6, &six);
}

static int remove_device(const char *name)
{
	struct ifreq request = { .ifr_flags = 0 };

	strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
	return of_interface(AF_INET, SIOCIFDESTROY, &request);
}

/* A further loopback. NetBSD renames none: there the name must be a driver's, such as lo1. */
static int add_device(const char *name)
{
	struct ifreq request = { .ifr_flags = 0 };
	char made[IFNAMSIZ] = "";
	int error;
#ifdef __FreeBSD__
	strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
	error = of_interface(AF_INET, SIOCIFCREATE2, &request);
	memcpy(made, request.ifr_name, sizeof made);
	request.ifr_data = (char *)(uintptr_t)name;
	error = error ? error : of_interface(AF_INET, SIOCSIFNAME, &request);
#else
	strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
	error = of_interface(AF_INET, SIOCIFCREATE, &request);
#endif
	if (error && *made)
		remove_device(made);
	return error ? error : bring_up(name);
}

static int new_network(void)
{
#ifdef __FreeBSD__
	int error = make_jail();

	error = error ? error : bring_up("lo0");
	return error ? error : add_address(&loopback4, 8);
#else
	return ENOSYS;
#endif
}

/* Tried in a child, for a jail cannot be left again. */
static void isolate(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(new_network() != 0);
	if (child > 0 && waitpid(child, &status, 0) == child && !status)
		isolation = JAIL;
}

static void hurry(void)
{
}

static enum entered apply_setting(const struct step *step)
{
	static const char *const families[] = { "net.inet.", "net.inet6.", "kern.ipc." };
	bool known = step->verb != SYSCTL;
	int error;

	for (size_t i = 0; i < COUNT(families) && !known; i++)
		known = !strncmp(step->setting, families[i], strlen(families[i]));
	if (!known)
		return because(NOT_RUN, "%s is no setting of the network (%s\xE2\x80\xA6, %s\xE2\x80\xA6, %s\xE2\x80\xA6)",
			step->setting, families[0], families[1], families[2]);
	if (step->verb == SYSCTL)
		error = change_safely(step->setting, step->text);
	else if (step->verb == EPHEMERAL)
		error = change_range(keep_text(step->text, strcspn(step->text, "-")), strchr(step->text, '-') + 1);
	else if (step->verb == ADDRESS && step->address.device)
		return because(NOT_RUN, "a link-local address is given to a device on Linux only");
	else if (step->verb == ADDRESS)
		error = add_address(&step->address, step->address.family == 4 ? 32 : 128);
	else
		error = add_device(step->text);
	if (error == ENOENT && step->verb == SYSCTL)
		return because(NOT_RUN, "this kernel has no setting %s", step->setting);
	if (error)
		return refused(step, error);
	if (step->verb == ADDRESS || step->verb == DEVICE)
		note_change((struct change) { .step = step });
	return READY;
}

/* Put back what was changed, the latest first. */
static void restore(void)
{
	int error = 0;

	for (; changes && isolation == OWN_MACHINE && !error; changes = changes->before) {
		const struct step *step = changes->step;

		if (!step)
			error = sysctlbyname(changes->name, NULL, NULL, changes->value, changes->size) ? errno : 0;
		else
			error = step->verb == ADDRESS ? remove_address(&step->address) : remove_device(step->text);
	}
	changes = NULL;
	if (error) {
		fprintf(stderr, "runner: what a scenario set cannot be put back (%s)\n", errno_name(error));
		exit(1);
	}
}
#else
static int new_network(void)
{
	return 0; /* none is ever asked for */
}

static void isolate(void)
{
}

static void hurry(void)
{
}

static enum entered apply_setting(const struct step *step)
{
	return because(NOT_RUN, "this program cannot set '%s' on this system", verb_names[step->verb]);
}

static void restore(void)
{
}
#endif

#ifdef _WIN32
static int become(enum account user)
{
	return user == NOBODY ? 0 : WSAEACCES;
}

static void become_root_again(enum account user)
{
	(void)user;
}
#else
static int become(enum account user)
{
	static const uid_t uids[USERS] = { [USER1] = 64001, [USER2] = 64002, [ROOT] = 0 };

	return user != NOBODY && seteuid(uids[user]) ? errno : 0;
}

static void become_root_again(enum account user)
{
	if (user != NOBODY && seteuid(0))
		abort();
}
#endif

static enum entered try_user(enum account user)
{
	int error;

	if (isolation == USERNS) /* whose root is nobody's but its own */
		return because(NOT_RUN, "needs other users (run as root: a user namespace of one's own holds one "
			"user)");
	error = become(user);
	if (error)
		return because(NOT_RUN, "needs other users (whose ids cannot be taken here: %s)", errno_name(error));
	become_root_again(user);
	return READY;
}

/* Ports for the symbols: not privileged, outside the ephemeral range, and not among those that have a number. In a
 * network that others had before, those that none of them had. */
static enum entered deal_ports(void)
{
	static bool taken[1 << 16];
	int low, high, start = first_unprivileged(), left = (1 << 16) - 1024;

	find_ephemeral(&low, &high);
	if (!last_port)
		last_port = 9999;
	memset(taken, 0, sizeof taken);
	FOR_EACH_STEP(step)
		taken[step->address.port] = true;
	FOR_EACH_NAME(name) {
		while (name->is_symbol && !name->port && left--) {
			last_port = last_port == 65535 ? 1024 : last_port + 1;
			if (last_port >= start && !(last_port >= low && last_port <= high) && !taken[last_port] &&
			    (isolation != OWN_MACHINE || is_free(last_port)))
				name->port = last_port;
		}
		if (name->is_symbol && !name->port)
			return because(NOT_RUN, "no port outside the ephemeral range %d-%d is left for %s", low, high,
				name->text);
	}
	return READY;
}

/* In the machine's network a port may be held by what an earlier scenario ended. Where the range of ports can be set, none may
 * be, if it is; else none that has a number. */
#ifdef HAS_SETTINGS
static bool await_the_end_of_others(void);

static enum entered in_the_machine(void)
{
	bool has_numbers = false;

	FOR_EACH_STEP(step)
		has_numbers |= step->verb == EPHEMERAL || step->verb == SYSCTL || step->address.port;
	if (has_numbers && !await_the_end_of_others())
		return because(BROKEN, "other connections of this machine are in TIME_WAIT and stay there");
	return READY;
}
#else
static bool comes_free(int port);

static enum entered in_the_machine(void)
{
	FOR_EACH_STEP(step) {
		if (step->verb == EPHEMERAL || step->verb == SYSCTL)
			return READY; /* to be refused */
		if (step->address.port >= first_unprivileged() && !comes_free(step->address.port))
			return because(NOT_RUN, "port %d is another program's on this machine", step->address.port);
	}
	return READY;
}
#endif

static enum entered in_a_network(void)
{
	enum entered entered = isolation == OWN_MACHINE ? in_the_machine() : READY;
	bool connects = false;
	int error;

	FOR_EACH_STEP(step) {
		connects |= step->verb == CONNECT;
		if (step->user && entered == READY)
			entered = try_user(step->user);
	}
	if (isolation != OWN_MACHINE)
		last_port = 0;
	if (entered != READY)
		return entered;
#ifdef __linux__
	if (processes && isolation != OWN_MACHINE) {
		entered = enter_shared();
		if (network || entered != READY)
			return entered == READY ? deal_ports() : entered;
		here = NULL;
	}
#endif
	error = isolation == OWN_MACHINE ? 0 : new_network();
	if (error)
		return because(BROKEN, "no network can be made for a scenario (%s)", errno_name(error));
	if (connects && isolation != OWN_MACHINE)
		hurry();
	FOR_EACH_STEP(step) {
		bool here_already = isolation == OWN_MACHINE && step->verb == ADDRESS && can_bind(&step->address, SOCK_STREAM, 0);

		if (step->text && !here_already && entered == READY)
			entered = apply_setting(step);
	}
	return entered == READY ? deal_ports() : entered;
}

/* Make the scenario's environment, and the ports of its symbols. */
static enum entered enter(void)
{
	enum entered entered = isolation == HOST ? on_the_host() : in_a_network();

	FOR_EACH_STEP(step)
		if (step->verb == SYSCTL && strstr(step->setting, "disable_ipv6"))
			return entered;
	FOR_EACH_STEP(step)
		if (entered == READY && (step->family == 6 || step->address.family == 6) && !has_ipv6())
			return because(NOT_RUN, "this system has no IPv6");
	return entered;
}

/* --- perform ------------------------------------------------------------------------------------------------------ */

static double scenario_seconds = 10, patience = 0.2;

static volatile sig_atomic_t time_is_up; /* the scenario's */
static volatile sock under_way = INVALID_SOCKET; /* what a call is made on */

static void perform_steps(void);

#ifdef _WIN32
static DWORD WINAPI perform_in_a_thread(void *nothing)
{
	(void)nothing;
	perform_steps();
	return 0;
}

/* Do the steps for so long; then what blocks is ended by closing its socket, or else with its thread. */
static void perform_for(double seconds)
{
	HANDLE thread = CreateThread(NULL, 0, perform_in_a_thread, NULL, 0, NULL);

	if (WaitForSingleObject(thread, (DWORD)(seconds * 1000)) == WAIT_TIMEOUT) {
		time_is_up = 1;
		if (under_way != INVALID_SOCKET)
			closesocket(under_way);
		if (WaitForSingleObject(thread, 1000) == WAIT_TIMEOUT)
			TerminateThread(thread, 0);
	}
	CloseHandle(thread);
}

static void pause_for(double seconds)
{
	Sleep((DWORD)(seconds * 1000));
}

static double now(void)
{
	return (double)GetTickCount64() / 1000;
}

static void set_blocking(sock sock, bool on)
{
	ioctlsocket(sock, FIONBIO, &(u_long) { !on });
}
#else
static void up(int signal)
{
	(void)signal;
	time_is_up = 1;
}

/* Do the steps for so long; then what blocks is interrupted, and again every 0.1 s so that no call is missed. */
static void perform_for(double seconds)
{
	suseconds_t rest = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
	struct itimerval timer = { { 0, 100000 }, { (time_t)seconds, rest } };
	struct itimerval none = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &timer, NULL);
	perform_steps();
	setitimer(ITIMER_REAL, &none, NULL);
}

static void pause_for(double seconds)
{
	struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&time, NULL); /* or until the time is up */
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void set_blocking(sock sock, bool on)
{
	int flags = fcntl(sock, F_GETFL);

	fcntl(sock, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}
#endif

/* Whether the socket has something to return, after waiting for it for so many seconds at the most. */
static bool readable(sock sock, double seconds)
{
#ifdef _WIN32
	struct timeval most = { (long)seconds, (long)((seconds - (double)(long)seconds) * 1e6) };
	fd_set one;

	FD_ZERO(&one);
	FD_SET(sock, &one);
	return select(0, &one, NULL, NULL, &most) > 0;
#else
	return poll(&(struct pollfd) { .fd = sock, .events = POLLIN }, 1, (int)(seconds * 1000)) > 0;
#endif
}

/* Whether it may be worth to look again, after waiting for something to return. */
static bool look_again(sock sock)
{
	readable(sock, patience);
	return patience > 0;
}

/* The connections that the scenario ended, until each has left FIN_WAIT1, CLOSING and LAST_ACK. */
static struct pair { union endpoint local, foreign; } ended[MAX_STEPS];
static int ended_count, diag = -1;

static void note_ended(sock sock)
{
	struct pair *pair = &ended[ended_count];
	socklen_t local = sizeof pair->local, foreign = sizeof pair->foreign;

	if (!getpeername(sock, &pair->foreign.any, &foreign) && !getsockname(sock, &pair->local.any, &local))
		ended_count++; /* at most once a step */
}

#ifdef __linux__
static const unsigned passing = 1 << 4 | 1 << 9 | 1 << 11; /* states of include/net/tcp_states.h */

/* The state of one TCP connection, 0 where there is none; negative: cannot be asked. */
static int state_of(const struct pair *pair)
{
	bool four = pair->local.any.sa_family == AF_INET;
	struct inet_diag_req_v2 body = {
		.sdiag_family = (uint8_t)pair->local.any.sa_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u,
		.id = { .idiag_sport = pair->local.four.sin_port, .idiag_dport = pair->foreign.four.sin_port,
			.idiag_cookie = { ~0u, ~0u } },
	};
	struct inet_diag_msg answer;
	struct request request;
	int error;

	memcpy(body.id.idiag_src, address_in(&pair->local), four ? 4 : 16);
	memcpy(body.id.idiag_dst, address_in(&pair->foreign), four ? 4 : 16);
	request = request_of(SOCK_DIAG_BY_FAMILY, 0, &body, sizeof body);
	error = ask(diag, &request, &answer, sizeof answer);
	if (error)
		return error == ENOENT ? 0 : -error;
	return memcmp(&answer.id, &body.id, 4) ? 0 : answer.idiag_state; /* a listener answers too */
}

static unsigned states_in_proc(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned found = 0, state;
	char text[512];

	while (file && fgets(text, sizeof text, file))
		if (sscanf(text, "%*s %*s %*s %x", &state) == 1 && state < 32)
			found |= 1u << state;
	if (file)
		fclose(file);
	return found;
}

/* Of any connection of this network; each is a bit. */
static unsigned tcp_states(void)
{
	return states_in_proc("/proc/thread-self/net/tcp") | states_in_proc("/proc/thread-self/net/tcp6");
}

static bool any_passing(void)
{
	if (diag < 0)
		diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	for (; ended_count; ended_count--) {
		int state = diag < 0 ? -1 : state_of(&ended[ended_count - 1]);

		if (state < 0) /* a kernel without inet_diag; gVisor */
			return tcp_states() & passing;
		if (passing >> state & 1)
			return true;
	}
	return false;
}

/* The peer of an ended connection may wait 40 ms until it acknowledges. */
static void hurry_sockets(void)
{
	FOR_EACH_NAME(name)
		if (name->sock != INVALID_SOCKET && !strcmp(protocols[name->protocol].name, "tcp"))
			setsockopt(name->sock, IPPROTO_TCP, TCP_QUICKACK, &(int) { 1 }, sizeof(int));
}
#else
#if defined(_WIN32)
static const unsigned passing = 1 << MIB_TCP_STATE_FIN_WAIT1 | 1 << MIB_TCP_STATE_CLOSING | 1 << MIB_TCP_STATE_LAST_ACK;

/* Of any connection of this network; each is a bit. */
static unsigned tcp_states(void)
{
	static union { MIB_TCPTABLE2 four; MIB_TCP6TABLE2 six; char room[1 << 20]; } table;
	ULONG size = sizeof table;
	unsigned found = 0;

	if (!GetTcpTable2(&table.four, &size, FALSE))
		for (DWORD i = 0; i < table.four.dwNumEntries; i++)
			found |= 1u << table.four.table[i].dwState;
	size = sizeof table;
	if (!GetTcp6Table2(&table.six, &size, FALSE))
		for (DWORD i = 0; i < table.six.dwNumEntries; i++)
			found |= 1u << table.six.table[i].State;
	return found;
}
#elif defined(HAS_SETTINGS)
static const unsigned passing = 1 << TCPS_FIN_WAIT_1 | 1 << TCPS_CLOSING | 1 << TCPS_LAST_ACK,
	waiting = 1 << TCPS_TIME_WAIT;

/* The kernel's list of connections by that name, to be freed; NULL: it tells none. */
static char *connections(const char *name, size_t *size)
{
	int path[8] = { 0 };
	size_t depth = 4;
	char *list = NULL;

	if (sysctlnametomib(name, path, &depth))
		return NULL;
#ifdef __NetBSD__
	path[depth] = PCB_ALL; /* then no flags, */
	path[depth + 2] = sizeof(struct kinfo_pcb);
	path[depth + 3] = 1 << 20; /* as many at the most */
	depth += 4;
#endif
	do {
		free(list);
		if (sysctl(path, (unsigned)depth, NULL, size, NULL, 0))
			return NULL;
		list = allocated(malloc(*size + 1));
	} while (sysctl(path, (unsigned)depth, list, size, NULL, 0) && errno == ENOMEM); /* it has grown */
	return list;
}

/* Of any connection of this network; each is a bit. */
static unsigned tcp_states(void)
{
	unsigned found = 0;
	size_t size = 0;
#ifdef __FreeBSD__
	char *list = connections("net.inet.tcp.pcblist", &size); /* of both families */
	size_t at = list && size >= sizeof(struct xinpgen) ? ((struct xinpgen *)(void *)list)->xig_len : size;

	while (at + sizeof(struct xtcpcb) <= size) {
		const struct xtcpcb *one = (void *)(list + at);

		if (one->xt_len < sizeof *one)
			break; /* the end, which is another xinpgen */
		found |= 1u << one->t_state;
		at += one->xt_len;
	}
	free(list);
#else
	static const char *const names[] = { "net.inet.tcp.pcblist", "net.inet6.tcp6.pcblist" };

	for (size_t i = 0; i < COUNT(names); i++) {
		char *list = connections(names[i], &size);

		for (size_t at = 0; list && at + sizeof(struct kinfo_pcb) <= size; at += sizeof(struct kinfo_pcb))
			found |= 1u << ((struct kinfo_pcb *)(void *)(list + at))->ki_tstate;
		free(list);
	}
#endif
	return found;
}
#else
static const unsigned passing = 1;

/* Of any connection of this network; each is a bit. */
static unsigned tcp_states(void)
{
	FILE *listing = popen("netstat -an", "r");
	unsigned found = 0;
	char text[512];

	while (listing && fgets(text, sizeof text, listing)) {
		if (strstr(text, "FIN_WAIT_1") || strstr(text, "CLOSING") || strstr(text, "LAST_ACK"))
			found |= passing;
	}
	if (listing)
		pclose(listing);
	return found;
}
#endif

static bool any_passing(void)
{
	return tcp_states() & passing;
}

static void hurry_sockets(void)
{
}
#endif

static void settle(void)
{
	double until = now() + 0.5;

	for (bool first = true; ended_count && any_passing() && now() < until && !time_is_up; first = false)
		if (first)
			hurry_sockets();
		else
			pause_for(0.0005);
}

#ifdef HAS_SETTINGS
/* Ends all connections in TIME_WAIT, where there is a program for it: to wait for each would take days. */
static void drop_the_waiting(void)
{
	int status = system("PATH=$PATH:/sbin:/usr/sbin; netstat -an | awk '$1 ~ /^tcp/ && $NF == \"TIME_WAIT\" {"
		" here = $4; there = $5; port = here; other = there;"
		" sub(/[.][^.]*$/, \"\", here); sub(/[.][^.]*$/, \"\", there); sub(/.*[.]/, \"\", port); sub(/.*[.]/, \"\", other);"
		" print \"tcpdrop\", here, port, there, other }' | sh >/dev/null 2>&1");

	(void)status; /* what was not ended is waited for */
}

/* Whether no connection of this network is about to end any more. */
static bool await_the_end_of_others(void)
{
	double until = now() + 300; /* no system has a TIME_WAIT as long */

	if (tcp_states() & waiting)
		drop_the_waiting();
	while (tcp_states() & (passing | waiting)) {
		if (now() > until)
			return false;
		pause_for(0.1);
	}
	return true;
}
#else
/* Whether nobody has a port of this machine any more. */
static bool comes_free(int port)
{
	static bool stays[1 << 16]; /* it is somebody else's, which was waited for once */
	double until = now() + 300; /* no system has a TIME_WAIT as long */

	while (!stays[port] && !is_free(port)) {
		stays[port] = now() > until;
		pause_for(0.1);
	}
	return !stays[port];
}
#endif

static int check(int result)
{
	return result < 0 ? failure() : 0;
}

static bool is_stream(const struct name *name)
{
	return protocols[name->protocol].type == SOCK_STREAM;
}

static void note_port(struct name *name)
{
	union endpoint local;
	socklen_t size = sizeof local;

	if (name->sock != INVALID_SOCKET) /* on Windows a socket that is not bound has no name */
		name->port = getsockname(name->sock, &local.any, &size) ? 0 : ntohs(local.four.sin_port);
}

/* bind, connect, sendto */
static int call_with_address(struct step *step, struct name *name)
{
	const struct address *address = &step->address;
	int port = address->symbol ? address->symbol->port : address->port;
	union endpoint to;
	socklen_t size;

	if (address->owner) {
		note_port(address->owner);
		port = address->owner->port;
		if (!port)
			return UNREACHED;
	}
	size = fill(&to, address, port);
	if (step->verb == SENDTO)
		return check((int)sendto(name->sock, "x", 1, 0, &to.any, size));
	return check(step->verb == BIND ? bind(name->sock, &to.any, size) : connect(name->sock, &to.any, size));
}

/* What socket options take. */
union setting {
	int number;
	uint32_t range;
	struct linger linger;
	struct ip_mreq group;
#ifdef __linux__
	struct ip_mreqn groupn;
#endif
	struct ipv6_mreq group6;
	char bytes[256];
};

#define NOBODYS_ADDRESS 0xC0000201 /* 192.0.2.1, of the documentation, which no device has */

/* A group and its device, or with an empty group a device alone. Returns its size, 0 where its address is not known. */
static size_t fill_group(union setting *setting, const struct address *group)
{
	const char *device = group->device;

	if (group->family == 6) {
		memcpy(&setting->group6.ipv6mr_multiaddr, group->bytes, 16);
		setting->group6.ipv6mr_interface = device ? index_of(device) : 0;
		return sizeof setting->group6;
	}
#ifdef __linux__
	memcpy(&setting->groupn.imr_multiaddr, group->bytes, 4);
	setting->groupn.imr_ifindex = device ? (int)index_of(device) : 0;
	return sizeof setting->groupn;
#else
	memcpy(&setting->group.imr_multiaddr, group->bytes, 4);
	bool own = device && !strcmp(device, "lo");
	setting->group.imr_interface.s_addr = htonl(own ? INADDR_LOOPBACK : device ? NOBODYS_ADDRESS : INADDR_ANY);
	return device && !own && index_of(device) != INT32_MAX ? 0 : sizeof setting->group;
#endif
}

#ifdef _WIN32
#define NO_SUCH_DEVICE WSAEADDRNOTAVAIL
#else
#define NO_SUCH_DEVICE ENODEV
#endif

static int set_option(sock sock, const struct option *option)
{
	const char *text = option->value ? option->value : "1";
	enum form form = option->known->form;
	union setting setting = { .bytes = "" };
	size_t size = sizeof setting.number;

	if (!option->known->number)
		return NO_SUCH_OPTION;
	if (option->raw) {
		for (size = 0; text[2 * size]; size++)
			setting.bytes[size] = (char)strtol((char[3]) { text[2 * size], text[2 * size + 1] }, NULL, 16);
	} else if (form == LINGERING) {
		size = sizeof setting.linger;
		setting.linger.l_onoff = strcmp(text, "off") != 0;
		setting.linger.l_linger = atoi(text);
	} else if (form == PORTS) {
		setting.range = (uint32_t)atoi(strchr(text, '-') + 1) << 16 | (uint32_t)atoi(text);
	} else if (form == INTERFACE_NAME) {
		size = strlen(text) + 1;
		memcpy(setting.bytes, text, size);
	} else if (form == MEMBERSHIP) {
		size = fill_group(&setting, &option->group);
	} else if (form == INTERFACE_INDEX && option->known->level == IPPROTO_IPV6) {
		setting.number = (int)index_of(text);
	} else if (form == INTERFACE_INDEX) {
		size = fill_group(&setting, &(struct address) { .family = 4, .device = text });
#ifndef __linux__
		memmove(&setting, &setting.group.imr_interface, sizeof setting.group.imr_interface);
		size = size ? sizeof setting.group.imr_interface : 0;
#endif
	} else {
		setting.number = (int)strtoll(text, NULL, 10);
	}
	if (!size && (form == MEMBERSHIP || form == INTERFACE_INDEX) && !option->raw)
		return NO_SUCH_DEVICE;
	return check(setsockopt(sock, option->known->level, option->known->number, (const void *)&setting, (socklen_t)size));
}

static int call_set(struct step *step, struct name *name)
{
	return set_option(name->sock, step->options);
}

static int call_get(struct step *step, struct name *name)
{
	const struct known *known = step->options->known;
	enum form form = known->form;
	union setting setting = { .bytes = "" };
	socklen_t size = form == LINGERING ? sizeof(struct linger) : form == INTERFACE_NAME ? 64 : sizeof(int);
	int error, length;
	char text[80];

	if (!known->number)
		return NO_SUCH_OPTION;
	error = check(getsockopt(name->sock, known->level, known->number, (void *)&setting, &size));
	if (error)
		return error;
	if (form == LINGERING)
		length = sprintf(text, setting.linger.l_onoff ? "%d" : "off", (int)setting.linger.l_linger);
	else if (form == PORTS)
		length = sprintf(text, "%u-%u", (unsigned)(setting.range & 0xFFFF), (unsigned)(setting.range >> 16));
	else if (form == INTERFACE_NAME)
		length = sprintf(text, "%.64s", setting.bytes);
	else if (form == INTERFACE_INDEX && known->level == IPPROTO_IP)
		length = inet_ntop(AF_INET, setting.bytes, text, sizeof text) ? (int)strlen(text) : 0;
	else if (form == INTERFACE_INDEX && setting.number)
		length = sprintf(text, "%s", device_of((uint32_t)setting.number));
	else
		length = sprintf(text, "%d", form == FLAG ? setting.number != 0 : setting.number);
	step->value = keep_text(text, (size_t)length);
	return 0;
}

static int call_listen(struct step *step, struct name *name)
{
	return check(listen(name->sock, step->argument));
}

static int call_disconnect(struct step *step, struct name *name)
{
	union endpoint unspecified = { .bytes = "" };

	(void)step;
	return check(connect(name->sock, &unspecified.any, sizeof unspecified));
}

static int call_accept(struct step *step, struct name *listener)
{
	int looks = 0, error;
	sock child;

	set_blocking(listener->sock, false); /* a look tells EINVAL from nothing, and cannot hang */
	do {
		child = accept(listener->sock, NULL, NULL);
		error = child == INVALID_SOCKET ? failure() : 0;
	} while (error == NOTHING_YET && !looks++ && look_again(listener->sock));
	set_blocking(listener->sock, true);
	if (error)
		return error == NOTHING_YET ? TIMEOUT : error;
	set_blocking(child, true);
	step->name->sock = child;
	step->name->protocol = listener->protocol;
	step->name->user = listener->user;
	return 0;
}

static int call_dup(struct step *step, struct name *other)
{
#ifdef _WIN32
	WSAPROTOCOL_INFOW info;
	sock copy = WSADuplicateSocketW(other->sock, GetCurrentProcessId(), &info) ? INVALID_SOCKET :
		WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, WSA_FLAG_OVERLAPPED);
#else
	sock copy = dup(other->sock);
#endif

	if (copy == INVALID_SOCKET)
		return failure();
	step->name->sock = copy;
	step->name->protocol = other->protocol;
	step->name->user = other->user;
	return 0;
}

static int call_shutdown(struct step *step, struct name *name)
{
	int before = ended_count, error;

	note_ended(name->sock);
	error = check(shutdown(name->sock, step->argument));
	if (error || step->argument == SHUT_RD)
		ended_count = before;
	return error;
}

static char received[65536];

static int call_eof(struct step *step, struct name *name)
{
	int got;

	(void)step;
	do
		got = (int)recv(name->sock, received, sizeof received, 0);
	while (got > 0);
	return check(got);
}

static int call_send(struct step *step, struct name *name)
{
	(void)step;
	return check((int)send(name->sock, "x", 1, 0));
}

static int call_recv(struct step *step, struct name *name)
{
	int looks = 0, error;
	size_t size = is_stream(name) ? 1 : sizeof received;

	(void)step;
	set_blocking(name->sock, false);
	do
		error = check((int)recv(name->sock, received, size, 0));
	while (error == NOTHING_YET && !looks++ && look_again(name->sock));
	set_blocking(name->sock, true);
	/* After shutdown(RD) of UDP, Linux tells only a call that may wait that there is no need to. */
	if (error == NOTHING_YET && !is_stream(name) && readable(name->sock, 0))
		error = check((int)recv(name->sock, received, size, 0));
	return error == NOTHING_YET ? TIMEOUT : error;
}

static int call_close(struct step *step, struct name *name)
{
	(void)step;
	note_port(name);
	if (is_stream(name))
		note_ended(name->sock);
	close(name->sock);
	name->sock = INVALID_SOCKET;
	settle();
	return 0;
}

static int call_name(struct step *step, struct name *name)
{
	char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + IF_NAMESIZE + 32];
	const char *device = "";
	union endpoint local;
	socklen_t size = sizeof local;
	int error = check(getsockname(name->sock, &local.any, &size));
	bool four;

	if (error)
		return error;
	four = local.any.sa_family == AF_INET;
	inet_ntop(local.any.sa_family, address_in(&local), host, sizeof host);
	if (!four && local.six.sin6_scope_id)
		device = device_of(local.six.sin6_scope_id);
	size = (socklen_t)sprintf(text, four ? "%s%s%s:%d" : "[%s%s%s]:%d", host, *device ? "%" : "", device,
		ntohs(local.four.sin_port));
	step->value = keep_text(text, size);
	return 0;
}

static int create(struct step *step)
{
	struct name *name = step->name;
	int error = become(step->user);

	name->protocol = step->protocol;
	name->user = step->user;
	if (!error) {
		name->sock = socket(step->family == 4 ? AF_INET : AF_INET6, protocols[step->protocol].type,
			protocols[step->protocol].number);
		error = name->sock == INVALID_SOCKET ? failure() : 0;
		for (int i = 0; i < step->option_count && !error; i++)
			error = set_option(name->sock, &step->options[i]);
		become_root_again(step->user);
	}
	name->failed = error && !step->survives;
	return error;
}

static int (*const calls[])(struct step *, struct name *) = {
	[CLOSE] = call_close, [DISCONNECT] = call_disconnect, [UNTIL_EOF] = call_eof, [NAME] = call_name,
	[RECV] = call_recv, [SEND] = call_send, [BIND] = call_with_address, [CONNECT] = call_with_address,
	[SENDTO] = call_with_address, [GET] = call_get, [LISTEN] = call_listen, [SET] = call_set,
	[SHUTDOWN] = call_shutdown, [ACCEPT] = call_accept, [DUP] = call_dup,
};

static int perform_step(struct step *step)
{
	struct name *name = step->of ? step->of : step->name;
	bool always = step->verb == CLOSE || step->verb == NAME || step->verb == GET || step->verb == SET;
	int error;

	if (step->verb == CREATE)
		return create(step);
	if (name->sock == INVALID_SOCKET || (name->failed && !always))
		return UNREACHED;
	error = become(name->user);
	if (!error) {
		under_way = name->sock;
		error = calls[step->verb](step, name);
		under_way = INVALID_SOCKET;
		become_root_again(name->user);
	}
	if (error && error != UNREACHED && !step->of && !step->survives)
		name->failed = true;
	return error;
}

/* Close whatever is open, by reset: an orphan would keep the namespace, or the port, for a while. */
static void close_all(void)
{
	struct linger reset = { 1, 0 };

	FOR_EACH_NAME(name) {
		if (name->sock == INVALID_SOCKET)
			continue;
		if (is_stream(name))
			setsockopt(name->sock, SOL_SOCKET, SO_LINGER, (const void *)&reset, sizeof reset);
		close(name->sock);
	}
	if (diag >= 0)
		close(diag);
	diag = -1;
	ended_count = 0;
}

static struct step *current;

static void perform_steps(void)
{
	for (; current < the.end && !time_is_up; current++) {
		if (current->verb == WAIT)
			pause_for(current->seconds);
		else if (current->name)
			current->result = perform_step(current);
		if (time_is_up)
			break;
	}
}

/* Do every step; when the time is up the step under way is `timeout` and all after it `unreached`. */
static void perform(void)
{
	FOR_EACH_STEP(step)
		step->result = UNREACHED;
	current = the.steps;
	time_is_up = 0;
	perform_for(scenario_seconds + the.waits);
	if (time_is_up && current < the.end)
		current->result = TIMEOUT;
	close_all();
}

/* --- print -------------------------------------------------------------------------------------------------------- */

static void print_text(const char *text)
{
	uint32_t code;

	putchar('"');
	for (int length; *text; text += length ? length : 1) {
		length = decode(text, &code);
		if (!length)
			code = 0xFFFD;
		if (code == '"' || code == '\\')
			printf("\\%c", (int)code);
		else if (code >= ' ' && code <= '~')
			putchar((int)code);
		else if (code == '\t')
			printf("\\t");
		else if (code > 0xFFFF)
			printf("\\u%04x\\u%04x", (unsigned)(0xD7C0 + (code >> 10)),
				(unsigned)(0xDC00 + (code & 0x3FF)));
		else
			printf("\\u%04x", (unsigned)code);
	}
	putchar('"');
}

static void flush(void)
{
	if (fflush(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "runner: the output cannot be written: %s\n", strerror(errno));
		exit(1);
	}
}

static void print_step(const struct step *step)
{
	static const char *const results[] = { [0] = "ok", [-TIMEOUT] = "timeout", [-UNREACHED] = "unreached" };

	printf("{\"step\": \"%s.%s", step->name->text, verb_names[step->verb]);
	if (step->occurrence > 1)
		printf("#%d", step->occurrence);
	printf("\", \"outcome\": \"%s\"", step->result > 0 ? errno_name(step->result) : results[-step->result]);
	printf(", \"value\": ");
	if (step->value && !step->result)
		print_text(step->value);
	else
		printf("null");
	putchar('}');
}

static void print_scenario(bool was_run)
{
	const char *separator = "";

	printf("{\"platform\": \"%s\"", platform);
	if (the.title) {
		printf(", \"title\": ");
		print_text(the.title);
	}
	printf(was_run ? ", \"steps\": [" : ", \"not_run\": ");
	if (!was_run)
		print_text(why);
	FOR_EACH_STEP(step) {
		if (!was_run || !step->name)
			continue;
		printf("%s", separator);
		print_step(step);
		separator = ", ";
	}
	printf(was_run ? "]}\n" : "}\n");
	flush();
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static void read_arguments(int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		const char *option = arguments[i], *text = "";
		double *seconds = NULL;
		char *end = NULL;

		if (!strcmp(option, "-m")) {
			machine_is_ours = true;
			continue;
		}
		if (!strcmp(option, "-j") && i + 1 < count && strspn(arguments[i + 1], DIGIT) == strlen(arguments[i + 1]) &&
		    strlen(arguments[i + 1]) < 4 && (processes = atoi(arguments[i + 1])) > 0 && processes <= MAX_PROCESSES) {
			i++;
			continue;
		}
		if (!strcmp(option, "-t"))
			seconds = &scenario_seconds;
		if (!strcmp(option, "-p"))
			seconds = &patience;
		if (seconds && i + 1 < count)
			text = arguments[++i];
		if (seconds && strspn(text, DIGIT ".") == strlen(text))
			*seconds = strtod(text, &end);
		if (!end || end == text || *end || *seconds > 86400) {
			fprintf(stderr, "runner: %s %s: usage: runner [-t SECONDS] [-p SECONDS] [-m] [-j NUMBER] <FILE\n", option,
				text);
			exit(2);
		}
	}
}

static void prepare(void)
{
#ifdef _WIN32
	WSADATA data;

	if (WSAStartup(MAKEWORD(2, 2), &data))
		exit(1);
#else
	struct sigaction action = { .sa_handler = up }; /* without SA_RESTART: a call that blocks is interrupted */
	struct rlimit files;

	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
#endif
	find_platform();
	isolate();
	if (isolation == HOST && machine_is_ours)
		isolation = OWN_MACHINE;
}

/* Perform the scenario in hand and print its answer. Returns the exit status. */
static int perform_scenario(void)
{
	enum entered entered = enter();

	if (entered == READY)
		perform();
	restore();
	if (entered != BROKEN) {
		print_scenario(entered == READY);
		return 0;
	}
	fprintf(stderr, "runner: %s%s%s\n", the.title ? the.title : "", the.title ? ": " : "", why);
	return 1;
}

#ifdef __linux__
/* A process that performs scenarios, and what it said of them that is not yet a line. */
struct worker {
	pid_t process;
	int from;                    /* a pipe, -1: it has ended */
	char *said;
	size_t size, room;
};

/* What the workers share: the next scenario to perform, and the one that each has in hand. */
static struct hands { int next, has[MAX_PROCESSES]; } *hands;

/* Perform scenarios until none is left; each answer has its number before it, and is empty where it broke. */
static NORETURN void work(int me, const char *const *starts, int count)
{
	pid_t parent = getppid();

	while (getppid() == parent && (hands->has[me] = __sync_fetch_and_add(&hands->next, 1)) < count) {
		struct place place = { starts[hands->has[me]], 1, 0, 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user had cleared it */
		read_scenario(&place);
		printf("%d ", hands->has[me]);
		if (perform_scenario()) {
			putchar('\n');
			fflush(stdout);
		}
	}
	exit(0);
}

static bool start_worker(struct worker *workers, int me, const char *const *starts, int count)
{
	struct worker *worker = &workers[me];
	int ends[2];

	if (hands->next >= count || pipe(ends))
		return false;
	worker->process = fork();
	if (!worker->process) {
		for (int i = 0; i < processes; i++) /* else they would outlive their reader */
			if (workers[i].from >= 0)
				close(workers[i].from);
		close(ends[0]);
		dup2(ends[1], 1);
		close(ends[1]);
		work(me, starts, count);
	}
	close(ends[1]);
	worker->from = worker->process < 0 ? -1 : ends[0];
	if (worker->process < 0)
		close(ends[0]);
	return worker->process > 0;
}

/* Take what a worker says; false: it has ended. */
static bool listen_to(struct worker *worker, char **answers)
{
	ssize_t got;
	char *end;

	if (worker->room - worker->size < 1 << 16)
		worker->said = allocated(realloc(worker->said, worker->room = worker->room * 2 + (1 << 17)));
	got = read(worker->from, worker->said + worker->size, worker->room - worker->size);
	if (got <= 0)
		return false;
	worker->size += (size_t)got;
	while ((end = memchr(worker->said, '\n', worker->size))) {
		char *answer = strchr(worker->said, ' ') + 1;
		size_t length = (size_t)(end + 1 - worker->said), size = (size_t)(end + 1 - answer);
		char **kept = &answers[atoi(worker->said)];

		*kept = allocated(malloc(size + 1));
		memcpy(*kept, answer, size);
		(*kept)[size] = 0;
		worker->size -= length;
		memmove(worker->said, end + 1, worker->size);
	}
	return true;
}

/* Say of which scenario a worker ended, if in the midst of one; that has no answer then. */
static void bury(struct worker *worker, int me, const char *const *starts, int count, char **answers)
{
	int index = hands->has[me];

	close(worker->from);
	free(worker->said);
	waitpid(worker->process, NULL, 0);
	*worker = (struct worker) { .from = -1 };
	if (index >= count || answers[index])
		return;
	struct place place = { starts[index], 1, 0, 0 };

	read_scenario(&place);
	fprintf(stderr, "runner: %s%sthe process that performs it was ended\n", the.title ? the.title : "",
		the.title ? ": " : "");
	answers[index] = allocated(calloc(1, 2));
	*answers[index] = '\n';
}

/* Print the answers that are there, as far as none before them is missing. */
static int print_answers(char **answers, int count, int *printed)
{
	int status = 0;

	for (; *printed < count && answers[*printed]; ++*printed) {
		char *answer = answers[*printed];

		if (*answer == '\n')
			status = 1;
		else
			fputs(answer, stdout);
		free(answer);
	}
	flush();
	return status;
}

/* Perform the scenarios that begin at `starts` by several processes; answers come in their order. */
static int perform_by_several(const char *const *starts, int count)
{
	struct worker workers[MAX_PROCESSES];
	struct pollfd asked[MAX_PROCESSES];
	char **answers = allocated(calloc((size_t)count + 1, sizeof *answers));
	int printed = 0, status = 0, running = 0;

	hands = mmap(NULL, sizeof *hands, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	allocated(hands == MAP_FAILED ? NULL : hands);
	fflush(stdout);
	for (int i = 0; i < processes; i++)
		workers[i] = (struct worker) { .from = -1 };
	for (int i = 0; i < processes; i++)
		running += start_worker(workers, i, starts, count);
	while (running) {
		for (int i = 0; i < processes; i++)
			asked[i] = (struct pollfd) { .fd = workers[i].from, .events = POLLIN };
		poll(asked, (nfds_t)processes, -1);
		for (int i = 0; i < processes; i++) {
			if (!asked[i].revents || listen_to(&workers[i], answers))
				continue;
			bury(&workers[i], i, starts, count, answers);
			running += start_worker(workers, i, starts, count) - 1;
		}
		status |= print_answers(answers, count, &printed);
	}
	if (printed < count) {
		fprintf(stderr, "runner: no process can be made to perform scenarios: %s\n", strerror(errno));
		status = 1;
	}
	free(answers);
	return status;
}
#endif

#ifdef __FreeBSD__
/* The same in a process of its own, with which its jail ends. */
static int perform_in_a_child(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(perform_scenario());
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
		fprintf(stderr, "runner: %s: the process that performs it %s\n", the.title ? the.title : "",
			child < 0 ? "cannot be made" : "was ended");
		return 1;
	}
	return WEXITSTATUS(status);
}
#else
#define perform_in_a_child perform_scenario
#endif

int main(int count, char **arguments)
{
	struct place place;
	int status = 0, scenarios = 0, room = 0;
	const char **starts = NULL;
	char *text;

#ifdef _WIN32
	_setmode(_fileno(stdin), _O_BINARY);
	_setmode(_fileno(stdout), _O_BINARY);
#endif
	read_arguments(count, arguments);
	text = read_input();
	for (place = (struct place) { text, 1, 0, 0 }; place.at; ) {
		if (scenarios == room)
			starts = allocated(realloc(starts, (size_t)(room = room * 2 + 1000) * sizeof *starts));
		starts[scenarios++] = place.at;
		read_scenario(&place);
	}
	prepare();
	place = (struct place) { text, 1, 0, 0 };
#ifdef __linux__
	if (processes && isolation != OWN_MACHINE) {
		status = perform_by_several(starts, scenarios);
		place.at = NULL;
	}
#endif
	while (place.at) {
		read_scenario(&place);
		status |= isolation == JAIL ? perform_in_a_child() : perform_scenario();
	}
	begin_scenario();
	free(starts);
	free(text);
	return status;
}
