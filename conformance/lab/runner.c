/*
 * Performs scenarios on a machine that has no Python: `runner [-t SECONDS] [-p SECONDS] <FILE`.
 *
 * Reads a text of the scenario language, version 1, from standard input and prints what `sockreuse run --json` prints, one
 * object a line for each scenario. All of the text is read and checked before the first scenario is performed. Its
 * counterpart, where reasons are given, is pytest_sockreuse/: parser.py, live/ and platforms.py.
 *
 *   -t SECONDS   what a scenario may take beside its waits (10)
 *   -p SECONDS   how long accept and recv wait for something to return (0.2); 0: one look
 *
 * Exit status: 0; 1 if a scenario could not be performed though it should have been; 2 if the text or the arguments are wrong.
 *
 * To build:   cc -std=c99 -O2 -o runner runner.c                              (POSIX; -static makes it easy to carry)
 *             x86_64-w64-mingw32-gcc -O2 -o runner.exe runner.c -lws2_32 -liphlpapi
 */
#if defined(__linux__)
#define _GNU_SOURCE /* unshare */
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE
#elif defined(_WIN32)
#define _WIN32_WINNT 0x0600
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
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
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
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
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#elif defined(__APPLE__) || defined(__FreeBSD__)
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
	MAX_TEXT = 64 * 1024 * 1024,  /* bytes */
	MAX_WAIT = 3600,              /* seconds, all waits of a scenario together */
};

/* --- errnos ---------------------------------------------------------------------------------------------------------- */

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
	E(EAGAIN), E(EOPNOTSUPP), E(EDEADLK),
	E(E2BIG), E(EBADMSG), E(EBUSY), E(ECANCELED), E(ECHILD), E(EDOM), E(EEXIST), E(EFBIG), E(EIDRM), E(EILSEQ), E(EIO), E(EISDIR),
	E(EMLINK), E(ENFILE), E(ENODEV), E(ENOENT), E(ENOEXEC), E(ENOLCK), E(ENOMEM), E(ENOMSG), E(ENOSPC), E(ENOSYS), E(ENOTDIR),
	E(ENOTSUP), E(ENOTTY), E(ENXIO), E(EOVERFLOW), E(EPERM), E(EPIPE), E(EPROTO), E(ERANGE), E(EROFS), E(ESPIPE), E(ESRCH),
	E(ETXTBSY), E(EXDEV),
#endif
#ifdef __linux__
	E(EBADFD), E(ECOMM), E(EHWPOISON), E(EKEYEXPIRED), E(EKEYREJECTED), E(EKEYREVOKED), E(EMEDIUMTYPE), E(EMULTIHOP), E(ENODATA),
	E(ENOKEY), E(ENOLINK), E(ENOMEDIUM), E(ENONET), E(ENOPKG), E(ENOSR), E(ENOSTR), E(ENOTUNIQ), E(EREMCHG), E(EREMOTEIO),
	E(ERESTART), E(ERFKILL), E(ETIME), E(EUCLEAN), E(EUNATCH),
#endif
	E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EALREADY), E(EBADF), E(ECONNABORTED), E(ECONNREFUSED),
	E(ECONNRESET), E(EDESTADDRREQ), E(EDQUOT), E(EFAULT), E(EHOSTDOWN), E(EHOSTUNREACH), E(EINPROGRESS), E(EINTR), E(EINVAL),
	E(EISCONN), E(ELOOP), E(EMFILE), E(EMSGSIZE), E(ENAMETOOLONG), E(ENETDOWN), E(ENETRESET), E(ENETUNREACH), E(ENOBUFS),
	E(ENOPROTOOPT), E(ENOTCONN), E(ENOTEMPTY), E(ENOTSOCK), E(EOPNOTSUPP), E(EPFNOSUPPORT), E(EPROTONOSUPPORT), E(EPROTOTYPE),
	E(EREMOTE), E(ESHUTDOWN), E(ESOCKTNOSUPPORT), E(ESTALE), E(ETIMEDOUT), E(ETOOMANYREFS), E(EUSERS),
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

/* --- options --------------------------------------------------------------------------------------------------------- */

enum form { FLAG, INT, LINGER, RANGE, TEXT };

static const char *const form_expected[] = {
	"a whole number", "a whole number", "seconds or 'off'", "LOW-HIGH, each 0 to 65535", "an interface name",
};

/* Every option of the language. */
static const struct known { const char *name; enum form form; } options[] = {
	{ "SO_REUSEADDR", FLAG }, { "SO_REUSEPORT", FLAG }, { "SO_REUSEPORT_LB", FLAG }, { "SO_EXCLUSIVEADDRUSE", FLAG },
	{ "SO_REUSE_UNICASTPORT", FLAG }, { "SO_PORT_SCALABILITY", FLAG }, { "SO_RANDOMIZE_PORT", FLAG }, { "SO_BROADCAST", FLAG },
	{ "SO_KEEPALIVE", FLAG }, { "SO_DONTROUTE", FLAG }, { "IPV6_V6ONLY", FLAG }, { "IP_BIND_ADDRESS_NO_PORT", FLAG },
	{ "IP_FREEBIND", FLAG }, { "IPV6_FREEBIND", FLAG }, { "IP_TRANSPARENT", FLAG }, { "IPV6_TRANSPARENT", FLAG },
	{ "IP_BINDANY", FLAG }, { "IPV6_BINDANY", FLAG }, { "TCP_NODELAY", FLAG }, { "TCP_LINGER2", INT },
	{ "TCP_DEFER_ACCEPT", INT }, { "TCP_FASTOPEN", INT }, { "TCP_USER_TIMEOUT", INT }, { "TCP_SYNCNT", INT },
	{ "SO_SNDBUF", INT }, { "SO_RCVBUF", INT }, { "SO_PRIORITY", INT }, { "SO_MARK", INT }, { "IP_TTL", INT }, { "IP_TOS", INT },
	{ "IP_PORTRANGE", INT }, { "IPV6_PORTRANGE", INT }, { "SO_LINGER", LINGER }, { "IP_LOCAL_PORT_RANGE", RANGE },
	{ "SO_BINDTODEVICE", TEXT },
};

#define SO(name) { #name, SOL_SOCKET, name }
#define IP(name) { #name, IPPROTO_IP, name }
#define TCP(name) { #name, IPPROTO_TCP, name }

/* Those that this OS has; as a bare number where headers may be older than the kernel, or do not tell. */
static const struct { const char *name; int level, number; } here[] = {
	SO(SO_REUSEADDR), SO(SO_BROADCAST), SO(SO_KEEPALIVE), SO(SO_DONTROUTE), SO(SO_SNDBUF), SO(SO_RCVBUF), SO(SO_LINGER),
	IP(IP_TTL), IP(IP_TOS), TCP(TCP_NODELAY), { "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY },
#ifdef SO_REUSEPORT
	SO(SO_REUSEPORT),
#endif
#ifdef TCP_FASTOPEN
	TCP(TCP_FASTOPEN),
#endif
#if defined(__linux__)
	SO(SO_BINDTODEVICE), SO(SO_PRIORITY), SO(SO_MARK), TCP(TCP_LINGER2), TCP(TCP_DEFER_ACCEPT), TCP(TCP_USER_TIMEOUT),
	TCP(TCP_SYNCNT), IP(IP_FREEBIND), IP(IP_TRANSPARENT), { "IPV6_FREEBIND", IPPROTO_IPV6, 78 },
	{ "IPV6_TRANSPARENT", IPPROTO_IPV6, 75 }, { "IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, 24 },
	{ "IP_LOCAL_PORT_RANGE", IPPROTO_IP, 51 },
#elif defined(_WIN32)
	SO(SO_EXCLUSIVEADDRUSE), { "SO_RANDOMIZE_PORT", SOL_SOCKET, 0x3005 }, { "SO_PORT_SCALABILITY", SOL_SOCKET, 0x3006 },
	{ "SO_REUSE_UNICASTPORT", SOL_SOCKET, 0x3007 },
#else
	{ "IP_PORTRANGE", IPPROTO_IP, 19 }, { "IPV6_PORTRANGE", IPPROTO_IPV6, 14 },
#endif
#if defined(__FreeBSD__)
	{ "SO_REUSEPORT_LB", SOL_SOCKET, 0x00010000 }, { "IP_BINDANY", IPPROTO_IP, 24 }, { "IPV6_BINDANY", IPPROTO_IPV6, 64 },
#endif
};

/* --- a scenario ------------------------------------------------------------------------------------------------------ */

static const struct { const char *name; int type, number; } protocols[] = {
	{ "tcp", SOCK_STREAM, 0 }, { "udp", SOCK_DGRAM, 0 }, { "mptcp", SOCK_STREAM, 262 }, { "sctp", SOCK_STREAM, 132 },
	{ "udplite", SOCK_DGRAM, 136 },
};
enum user { NOBODY, USER1, USER2, ROOT, USERS };
static const char *const user_names[USERS] = { "", "user1", "user2", "root" };

enum verb {
	CLOSE, DISCONNECT, UNTIL_EOF, NAME, RECV, SEND, BIND, CONNECT, SENDTO, GET, LISTEN, SET, SHUTDOWN, CREATE, ACCEPT, WAIT, VERBS
};
static const char *const verb_names[VERBS] = {
	"close", "disconnect", "eof", "name", "recv", "send", "bind", "connect", "sendto", "get", "listen", "set", "shutdown",
	"socket", "accept", "wait",
};

/* A name of the scenario: a socket's, or a port symbol's, of which `text`, `slot` and `port` are used. */
struct name {
	const char *text;
	unsigned slot;             /* its place in `table.slots` */
	bool open;                 /* while parsing: made above and not closed */
	int labels[VERBS];         /* while parsing: how often each occurred */
	bool failed;               /* from here on while performing */
	sock sock;
	int protocol, port;        /* `port`: the last that it reported */
	enum user user;
};

struct table {
	struct name names[MAX_STEPS];
	int count, slots[1 << 15]; /* 0, or an index into `names` plus 1 */
};

struct option {
	const struct known *known;
	const char *value;         /* the text after '='; NULL: the name stands alone and means 1 */
	bool raw;                  /* `value` is the digits after "raw:" */
};

struct address {
	int family;                /* 4, 6; 0: none */
	unsigned char bytes[16];
	struct name *symbol, *owner; /* P, or NAME.port; or neither, and */
	int port;
};

struct step {
	enum verb verb;
	struct name *name, *listener;
	int occurrence, line;
	int protocol, family;      /* CREATE: the kind */
	enum user user;
	struct option *options;
	int option_count;
	struct address address;
	int argument;              /* LISTEN: the backlog, SHUTDOWN: how */
	double seconds;
	bool survives;
	int result;                /* while performing: what it came to, and what it recorded, or NULL */
	const char *value;
};

struct setting {
	enum { SYSCTL, EPHEMERAL, ADDRESS, DEVICE } kind;
	const char *name, *value;  /* `name`: SYSCTL's only */
	int low, high;
	struct address address;
};

/* The scenario in hand. */
static struct {
	const char *title;         /* or NULL */
	int step_count, setting_count;
	struct step steps[MAX_STEPS];
	struct setting settings[MAX_STEPS];
	struct table sockets, symbols;
	double waits;
	struct chunk *chunks;
} the;

/* Memory for the scenario in hand. */
struct chunk {
	struct chunk *next;
	size_t used;
	char bytes[1 << 16];
};

static NORETURN void out_of_memory(void)
{
	fputs("runner: out of memory\n", stderr);
	exit(1);
}

static void *keep(const void *bytes, size_t size)
{
	size_t whole = (size + 15) & ~(size_t)15;
	struct chunk *chunk = the.chunks;
	char *at;

	if (!chunk || chunk->used + whole > sizeof chunk->bytes) {
		chunk = malloc(sizeof *chunk);
		if (!chunk)
			out_of_memory();
		chunk->next = the.chunks;
		chunk->used = 0;
		the.chunks = chunk;
	}
	at = chunk->bytes + chunk->used;
	chunk->used += whole;
	memcpy(at, bytes, size);
	return at;
}

static char *keep_text(const char *text, size_t length)
{
	static char ended[4 * MAX_LINE + 1];

	memcpy(ended, text, length);
	ended[length] = 0;
	return keep(ended, length + 1);
}

static struct name *find(struct table *table, const char *text, bool make)
{
	uint32_t hash = 2166136261u;
	struct name *name;
	unsigned slot;

	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (slot = hash % COUNT(table->slots); table->slots[slot]; slot = (slot + 1) % COUNT(table->slots))
		if (!strcmp(table->names[table->slots[slot] - 1].text, text))
			return &table->names[table->slots[slot] - 1];
	if (!make)
		return NULL;
	name = &table->names[table->count++];
	*name = (struct name) { .text = text, .slot = slot, .sock = INVALID_SOCKET };
	table->slots[slot] = table->count;
	return name;
}

static void forget(struct table *table)
{
	while (table->count)
		table->slots[table->names[--table->count].slot] = 0;
}

static void begin(void)
{
	while (the.chunks) {
		struct chunk *next = the.chunks->next;

		free(the.chunks);
		the.chunks = next;
	}
	forget(&the.sockets);
	forget(&the.symbols);
	the.title = NULL;
	the.step_count = the.setting_count = 0;
	the.waits = 0;
}

/* --- parse: what does not parse ends the program --------------------------------------------------------------------- */

#define DIGIT "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTER UPPER "abcdefghijklmnopqrstuvwxyz"
#define WORD LETTER DIGIT "_"
#define HEX DIGIT "abcdefABCDEF"
#define BLANK " \t"

/* The line in hand. */
static struct {
	int number;                /* from 1 */
	int indent;                /* characters before `body` */
	char body[4 * MAX_LINE + 1];
	char text[4 * MAX_LINE + 1]; /* `body` with its index ranges expanded, */
	short from[4 * MAX_LINE + 1]; /* and for each byte where it stands in `body` */
	const char *at, *start;    /* in `text`: where we read, where the last token began */
} line;

static NORETURN void wrong(int number, int column, const char *expected, va_list values)
{
	fprintf(stderr, "<stdin>:%d:%d: expected ", number, column);
	vfprintf(stderr, expected, values);
	fputc('\n', stderr);
	exit(2);
}

static NORETURN void fail(int number, int column, const char *expected, ...)
{
	va_list values;

	va_start(values, expected);
	wrong(number, column, expected, values);
}

static int characters(const char *text, size_t bytes)
{
	int count = 0;

	for (size_t i = 0; i < bytes; i++)
		count += ((unsigned char)text[i] & 0xC0) != 0x80;
	return count;
}

static NORETURN void expected_at(const char *at, const char *expected, ...)
{
	va_list values;

	va_start(values, expected);
	wrong(line.number, line.indent + characters(line.body, (size_t)line.from[at - line.text]) + 1, expected, values);
}

static void skip_blanks(void)
{
	line.at += strspn(line.at, BLANK);
	line.start = line.at;
}

/* Whether `text` stands here, which is then consumed. */
static bool maybe(const char *text)
{
	skip_blanks();
	if (strncmp(line.at, text, strlen(text)))
		return false;
	line.at += strlen(text);
	return true;
}

static bool maybe_word(const char *text)
{
	skip_blanks();
	return strspn(line.at, WORD) == strlen(text) && maybe(text);
}

static void take(const char *text)
{
	if (!maybe(text))
		expected_at(line.at, "'%s'", text);
}

/* How many characters at `at` are of `set`, at most `most`, and none of `never` behind them. */
static size_t span(const char *at, const char *set, size_t most, const char *never)
{
	size_t length = strspn(at, set);

	for (length = length < most ? length : most; length; length--)
		if (!at[length] || !strchr(never, at[length]))
			break;
	return length;
}

static const char *take_span(const char *set, size_t most, const char *never, const char *expected)
{
	size_t length;

	skip_blanks();
	length = span(line.at, set, most, never);
	if (!length)
		expected_at(line.at, "%s", expected);
	line.at += length;
	return keep_text(line.start, length);
}

static const char *maybe_name(void)
{
	size_t length;

	skip_blanks();
	length = strspn(line.at, LETTER) ? strspn(line.at, WORD) : 0;
	line.at += length;
	return length ? keep_text(line.start, length) : NULL;
}

/* The length of DIGITS-DIGITS, each of `most` digits at most, or 0. */
static size_t two_numbers(const char *at, size_t most)
{
	size_t low = strspn(at, DIGIT), high;

	if (!low || low > most || at[low] != '-')
		return 0;
	high = strspn(at + low + 1, DIGIT);
	return high && high <= most ? low + 1 + high : 0;
}

static const char *take_two_numbers(const char *never, const char *expected)
{
	size_t length;

	skip_blanks();
	length = two_numbers(line.at, 5);
	if (!length || (line.at[length] && strchr(never, line.at[length])))
		expected_at(line.at, "%s", expected);
	line.at += length;
	return keep_text(line.start, length);
}

static size_t take_host(struct address *address, int family)
{
	const char *host = take_span(family == 4 ? DIGIT "." : HEX ":.", MAX_LINE, "", "an address, such as 127.0.0.1 or [::1]");

	address->family = family;
	if (inet_pton(family == 4 ? AF_INET : AF_INET6, host, address->bytes) != 1)
		expected_at(line.start, "an IPv%d address", family);
	return strlen(host);
}

static const struct known *take_option_name(void)
{
	const char *name;

	skip_blanks();
	if (!strspn(line.at, UPPER))
		expected_at(line.at, "an option, such as SO_REUSEADDR");
	name = maybe_name();
	for (size_t i = 0; i < COUNT(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	expected_at(line.start, "an option of the language, such as SO_REUSEADDR, not %s", name);
}

static const char *take_value(enum form form)
{
	const char *expected = form_expected[form], *value;
	size_t sign;

	skip_blanks();
	switch (form) {
	case LINGER:
		if (maybe_word("off") && *line.at != '.')
			return "off";
		line.at = line.start;
		return take_span(DIGIT, 5, WORD ".", expected);
	case RANGE:
		value = take_two_numbers(WORD ".", expected);
		if (atoi(value) > 65535 || atoi(strchr(value, '-') + 1) > 65535)
			expected_at(line.start, "%s", expected);
		return value;
	case TEXT:
		return take_span(WORD ".-", 15, WORD ".", expected);
	default:
		sign = *line.at == '-';
		if (!span(line.at + sign, DIGIT, 10, WORD "."))
			expected_at(line.at, "%s", expected);
		line.at += sign + strspn(line.at + sign, DIGIT);
		value = keep_text(line.start, (size_t)(line.at - line.start));
		if (strtoll(value, NULL, 10) < INT32_MIN || strtoll(value, NULL, 10) > INT32_MAX)
			expected_at(line.start, "a number of 32 bits");
		return value;
	}
}

static const char *take_raw(void)
{
	size_t digits;

	skip_blanks();
	digits = strspn(line.at, HEX);
	if (digits > 512 || (line.at[digits] && strchr(LETTER DIGIT, line.at[digits])))
		expected_at(line.at, "hexadecimal digits, at most 512");
	line.at += digits;
	if (digits % 2)
		expected_at(line.at, "an even number of hexadecimal digits");
	return keep_text(line.start, digits);
}

static struct option take_option(void)
{
	struct option option = { take_option_name(), NULL, false };
	enum form form = option.known->form;

	if (maybe("=")) {
		option.raw = maybe("raw:");
		option.value = option.raw ? take_raw() : take_value(form);
	} else if (form != FLAG && form != INT) {
		expected_at(line.at, "'=' and %s", form_expected[form]);
	}
	return option;
}

static void one_option(struct step *step, struct option option)
{
	step->options = keep(&option, sizeof option);
	step->option_count = 1;
}

static const char port_expected[] = "a port: a number, a symbol such as P, or NAME.port";

/* What a line names; found or made when all of the line is read. `at`: how far into the line, spelled tightly, it stands. */
struct named {
	const char *name, *listener, *owner, *symbol;
	size_t owner_at, listener_at;
};

static void take_address(struct step *step, struct named *named)
{
	size_t host, length;

	if (maybe("[")) {
		host = take_host(&step->address, 6) + 2;
		take("]");
	} else {
		host = take_host(&step->address, 4);
	}
	if (!maybe(":"))
		expected_at(line.at, "':' and a port");
	skip_blanks();
	length = strspn(line.at, LETTER) ? strspn(line.at, WORD) : 0;
	if (length && !strncmp(line.at + length, ".port", 5) && !strspn(line.at + length + 5, WORD)) {
		named->owner = keep_text(line.at, length);
		named->owner_at = strlen(named->name) + strlen(verb_names[step->verb]) + 3 + host;
		line.at += length + 5;
	} else if (strspn(line.at, UPPER)) {
		named->symbol = take_span(UPPER DIGIT, MAX_LINE, WORD ".", port_expected);
	} else {
		step->address.port = atoi(take_span(DIGIT, 5, WORD, port_expected));
		if (step->address.port > 65535)
			expected_at(line.start, "a port from 0 to 65535");
	}
}

static void read_creation(struct step *step, struct named *named)
{
	struct option found[MAX_LINE];
	const char *maker = maybe_name(), *at = line.start;

	if (!maker)
		expected_at(line.at, "a socket kind or LISTENER.accept()");
	if (maybe(".")) {
		if (!maybe_word("accept"))
			expected_at(line.at, "accept()");
		if (!maybe("(") || !maybe(")"))
			expected_at(line.at, "'()'");
		step->verb = ACCEPT;
		named->listener = maker;
		named->listener_at = strlen(named->name) + 3;
		return;
	}
	step->verb = CREATE;
	for (size_t i = 0; i < COUNT(protocols); i++) {
		size_t length = strlen(protocols[i].name);

		if (!strncmp(maker, protocols[i].name, length) && (!strcmp(maker + length, "4") || !strcmp(maker + length, "6"))) {
			step->protocol = (int)i;
			step->family = maker[length] - '0';
		}
	}
	if (!step->family)
		expected_at(at, "a socket kind (tcp4 tcp6 udp4 udp6 mptcp4 mptcp6 sctp4 sctp6 udplite4 udplite6) or LISTENER.accept()");
	take("(");
	while (!maybe(")")) {
		if (step->option_count && !maybe(","))
			expected_at(line.at, "',' or ')'");
		found[step->option_count++] = take_option();
	}
	step->options = keep(found, (size_t)step->option_count * sizeof *found);
	if (maybe_word("as")) {
		for (step->user = USER1; step->user < USERS && !maybe(user_names[step->user]); step->user++)
			;
		if (step->user == USERS)
			expected_at(line.at, "user1, user2 or root");
	}
}

static void read_call(struct step *step, struct named *named)
{
	size_t length;

	if (!maybe("."))
		expected_at(line.at, "'.' or '='");
	skip_blanks();
	length = strspn(line.at, WORD);
	for (step->verb = 0; step->verb < CREATE; step->verb++)
		if (strlen(verb_names[step->verb]) == length && !strncmp(line.at, verb_names[step->verb], length))
			break;
	if (step->verb == CREATE && maybe_word("accept"))
		expected_at(line.start, "NAME = LISTENER.accept()");
	if (step->verb == CREATE)
		expected_at(line.start, "one of close, disconnect, eof, name, recv, send, bind, connect, sendto, get, listen, set, "
			"shutdown");
	line.at += length;
	take("(");
	switch (step->verb) {
	case BIND:
	case CONNECT:
	case SENDTO:
		take_address(step, named);
		break;
	case SET:
		one_option(step, take_option());
		break;
	case GET:
		one_option(step, (struct option) { take_option_name(), NULL, false });
		break;
	case LISTEN:
		skip_blanks();
		length = span(line.at + (*line.at == '-'), DIGIT, 9, WORD);
		step->argument = length ? atoi(line.at) : 8;
		line.at += length ? length + (*line.at == '-') : 0;
		break;
	case SHUTDOWN:
		if (maybe_word("RDWR"))
			step->argument = SHUT_RDWR;
		else if (maybe_word("RD"))
			step->argument = SHUT_RD;
		else if (maybe_word("WR"))
			step->argument = SHUT_WR;
		else
			expected_at(line.at, "RD, WR or RDWR");
		break;
	default:
		break;
	}
	take(")");
}

/* A value as one blank between words keeps it. */
static const char *take_words(size_t most)
{
	char words[4 * MAX_LINE + 1], *to = words;
	size_t count = 0;

	skip_blanks();
	if (!*line.at)
		expected_at(line.at, "a value");
	for (; *line.at && (count += ((unsigned char)*line.at & 0xC0) != 0x80) <= most; line.at++)
		if (!strchr(BLANK, *line.at))
			*to++ = *line.at;
		else if (to[-1] != ' ')
			*to++ = ' ';
	return keep_text(words, (size_t)(to - words) - (to[-1] == ' '));
}

static void read_setting(struct setting *setting, const char *word)
{
	static const char name_expected[] = "the name of a setting, such as net.ipv4.tcp_tw_reuse";
	size_t first, length, more;

	switch (*word) {
	case 's':
		setting->kind = SYSCTL;
		skip_blanks();
		length = strspn(line.at, WORD);
		for (first = length; length && strspn(line.at + length, "./"); length += 1 + more) {
			more = strspn(line.at + length + 1, WORD "-");
			if (!more)
				break;
		}
		if (length == first)
			expected_at(line.at, "%s", name_expected);
		setting->name = keep_text(line.at, length);
		line.at += length;
		take("=");
		setting->value = take_words(201);
		break;
	case 'e':
		setting->kind = EPHEMERAL;
		setting->value = take_two_numbers(WORD, "LOW-HIGH");
		setting->low = atoi(setting->value);
		setting->high = atoi(strchr(setting->value, '-') + 1);
		if (setting->low < 1 || setting->low > setting->high || setting->high > 65535)
			expected_at(line.start, "LOW-HIGH with 1 <= LOW <= HIGH <= 65535");
		break;
	case 'a':
		setting->kind = ADDRESS;
		take_host(&setting->address, strchr(line.text, ':') ? 6 : 4);
		setting->value = keep_text(line.start, (size_t)(line.at - line.start));
		break;
	default:
		setting->kind = DEVICE;
		skip_blanks();
		if (!strspn(line.at, LETTER))
			expected_at(line.at, "an interface name");
		setting->value = take_span(WORD ".-", 15, WORD ".-", "an interface name");
	}
}

/* A name is bound once, and `close` ends it; a port may be asked of one that is closed. */
static void find_names(struct step *step, struct named *named)
{
	const char *used = named->listener ? named->listener : named->name;
	struct name *name = find(&the.sockets, used, false);

	if ((step->verb == CREATE || step->verb == ACCEPT) && find(&the.sockets, named->name, false))
		expected_at(line.text, "a new name, %s is bound already", named->name);
	if (step->verb != CREATE && !(name && name->open))
		expected_at(line.text + named->listener_at, "a socket that was made above and is open, %s %s", used,
			name ? "was closed" : "is not");
	if (named->owner) {
		step->address.owner = find(&the.sockets, named->owner, false);
		if (!step->address.owner)
			expected_at(line.text + named->owner_at, "the port of a socket made above, %s is not", named->owner);
	}
	if (named->symbol)
		step->address.symbol = find(&the.symbols, named->symbol, true);
	if (named->listener)
		step->listener = name;
	step->name = find(&the.sockets, named->name, true);
	step->name->open = step->verb != CLOSE;
	step->occurrence = ++step->name->labels[step->verb];
}

static void line_ends(void)
{
	skip_blanks();
	if (*line.at)
		expected_at(line.at, "the end of the line");
}

static void no_more_than_the_most(void)
{
	if (the.step_count + the.setting_count >= MAX_STEPS)
		expected_at(line.text, "at most %d steps in a scenario", MAX_STEPS);
}

static bool is_wait(void)
{
	const char *behind = line.text + 4;

	behind += strspn(behind, BLANK);
	return !strncmp(line.text, "wait", 4) && behind > line.text + 4 && *behind != '=' && *behind != '.';
}

static void read_wait(struct step *step)
{
	size_t whole, part;

	line.at += 4;
	skip_blanks();
	whole = strspn(line.at, DIGIT);
	part = line.at[whole] == '.' ? strspn(line.at + whole + 1, DIGIT) : 0;
	if (!whole || whole > 4 || part > 6 || strspn(line.at + whole + (part ? part + 1 : 0), WORD "."))
		expected_at(line.at, "seconds");
	step->verb = WAIT;
	step->seconds = strtod(line.at, NULL);
	line.at += whole + (part ? part + 1 : 0);
}

/* The expanded line in `line`. */
static void read_text(void)
{
	static const char *const words[] = { "sysctl", "ephemeral", "address", "device" };
	struct step step = { .line = line.number };
	struct named named = { 0 };

	line.at = line.start = line.text;
	for (size_t i = 0; i < COUNT(words); i++) {
		if (!strncmp(line.text, words[i], strlen(words[i])) && strspn(line.text + strlen(words[i]), BLANK)) {
			struct setting setting = { 0 };

			line.at += strlen(words[i]);
			read_setting(&setting, words[i]);
			line_ends();
			no_more_than_the_most();
			if (the.sockets.count)
				expected_at(line.text, "environment lines before the first socket");
			the.settings[the.setting_count++] = setting;
			return;
		}
	}
	if (is_wait()) {
		read_wait(&step);
		line_ends();
		no_more_than_the_most();
		the.waits += step.seconds;
		if (the.waits > MAX_WAIT)
			expected_at(line.text, "waits of at most %d s in all", MAX_WAIT);
	} else {
		named.name = maybe_name();
		if (!named.name)
			expected_at(line.at, "a name, 'wait' or an environment line");
		if (maybe("="))
			read_creation(&step, &named);
		else
			read_call(&step, &named);
		step.survives = maybe("?");
		line_ends();
		no_more_than_the_most();
		find_names(&step, &named);
	}
	the.steps[the.step_count++] = step;
}

/* [LOW-HIGH] in the body of a line. */
struct range {
	size_t at, length;
	int low, size;
};

static size_t find_ranges(struct range *ranges)
{
	size_t count = 0, length;

	for (const char *c = line.body; *c; c++) {
		length = *c == '[' ? two_numbers(c + 1, 9) : 0;
		if (!length || c[length + 1] != ']')
			continue;
		ranges[count].at = (size_t)(c - line.body);
		ranges[count].length = length + 2;
		ranges[count].low = atoi(c + 1);
		ranges[count].size = atoi(strchr(c, '-') + 1) - ranges[count].low + 1;
		count++;
		c += length + 1;
	}
	return count;
}

/* Make `line.text` of `line.body`, with this number added to each range. */
static void expand(const struct range *ranges, size_t count, int offset)
{
	char *to = line.text, digits[12];
	size_t at = 0, i;

	for (i = 0; i <= count; i++) {
		size_t stop = i < count ? ranges[i].at : strlen(line.body);

		for (; at < stop; at++) {
			line.from[to - line.text] = (short)at;
			*to++ = line.body[at];
		}
		if (i == count)
			break;
		snprintf(digits, sizeof digits, "%d", ranges[i].low + offset);
		for (const char *digit = digits; *digit; digit++) {
			line.from[to - line.text] = (short)at;
			*to++ = *digit;
		}
		at += ranges[i].length;
	}
	line.from[to - line.text] = (short)at;
	*to = 0;
}

/* One line without its comment, of which `indent` blanks were taken. */
static void read_body(void)
{
	static struct range ranges[MAX_LINE];
	size_t count = find_ranges(ranges);

	expand(NULL, 0, 0);
	for (size_t i = 0; i < count; i++) {
		const char *at = line.text + ranges[i].at;

		if (ranges[i].size < 1)
			expected_at(at, "a range from low to high");
		if (ranges[i].size != ranges[0].size)
			expected_at(at, "a range of %d numbers, as the first on this line", ranges[0].size);
		if (ranges[i].size > MAX_STEPS)
			expected_at(at, "at most %d steps in a scenario", MAX_STEPS);
	}
	for (int offset = 0; offset < (count ? ranges[0].size : 1); offset++) {
		expand(ranges, count, offset);
		read_text();
	}
}

/* Where reading has come to in the whole text. */
struct place {
	const char *at;            /* NULL: the end */
	int number;                /* of the line at `at` */
};

/* Read one scenario, up to the line that opens the next. */
static void read_scenario(struct place *place)
{
	begin();
	for (; place->at; place->number++) {
		const char *start = place->at, *stop = strchr(start, '\n'), *end = stop ? stop : start + strlen(start);
		bool title = !strncmp(start, "---", 3);

		if (title && the.title)
			return;
		place->at = stop ? stop + 1 : NULL;
		end -= end > start && end[-1] == '\r';
		if (characters(start, (size_t)(end - start)) > MAX_LINE)
			fail(place->number, MAX_LINE + 1, "a line of at most %d characters", MAX_LINE);
		if (title && (the.step_count || the.setting_count))
			fail(place->number, 1, "'--- TITLE' above the first step too");
		if (title)
			start += 3;
		else if (memchr(start, '#', (size_t)(end - start)))
			end = memchr(start, '#', (size_t)(end - start));
		line.indent = (int)strspn(start, BLANK);
		start += line.indent < end - start ? line.indent : end - start;
		while (end > start && strchr(BLANK, end[-1]))
			end--;
		if (title && start == end)
			fail(place->number, 4, "a title");
		if (title) {
			the.title = keep_text(start, (size_t)(end - start));
		} else if (start < end) {
			memcpy(line.body, start, (size_t)(end - start));
			line.body[end - start] = 0;
			line.number = place->number;
			read_body();
		}
	}
}

/* One character of UTF-8: its length, or 0 where it is none. */
static int decode(const char *text, uint32_t *code)
{
	static const struct { unsigned char mask, lead; uint32_t least; } forms[] = {
		{ 0x80, 0x00, 0 }, { 0xE0, 0xC0, 0x80 }, { 0xF0, 0xE0, 0x800 }, { 0xF8, 0xF0, 0x10000 },
	};
	const unsigned char *bytes = (const unsigned char *)text;

	for (int more = 0; more < 4; more++) {
		if ((*bytes & forms[more].mask) != forms[more].lead)
			continue;
		*code = *bytes & (unsigned char)~forms[more].mask;
		for (int i = 1; i <= more; i++) {
			if ((bytes[i] & 0xC0) != 0x80)
				return 0;
			*code = *code << 6 | (bytes[i] & 0x3F);
		}
		return *code < forms[more].least || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000) ? 0 : more + 1;
	}
	return 0;
}

/* All of the text is UTF-8 and printable; it is ended by a NUL behind `size` bytes. */
static void check_text(const char *text, size_t size, bool printable)
{
	int number = 1, column = 1, length;
	uint32_t code;

	for (const char *at = text; at < text + size; at += length) {
		length = decode(at, &code);
		if (!length)
			fail(number, column, "UTF-8 text");
		if (printable && ((code < 0x20 && code != '\t' && code != '\n' && !(code == '\r' && at[1] == '\n')) ||
		    (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029))
			fail(number, column, "printable text");
		column = code == '\n' ? 1 : column + 1;
		number += code == '\n';
	}
}

/* All of standard input. */
static char *read_input(void)
{
	size_t room = 1 << 16, size = 0, got;
	char *text = malloc(room + 1);

	while (text && (got = fread(text + size, 1, room - size, stdin)) > 0) {
		size += got;
		if (size > MAX_TEXT)
			fail(1, 1, "at most %d bytes", MAX_TEXT);
		if (size == room)
			text = realloc(text, (room = room * 2 < MAX_TEXT ? room * 2 : MAX_TEXT + 1) + 1);
	}
	if (!text)
		out_of_memory();
	if (ferror(stdin)) {
		fprintf(stderr, "<stdin>: %s\n", strerror(errno));
		exit(2);
	}
	text[size] = 0;
	if (size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		memmove(text, text + 3, (size -= 3) + 1);
	check_text(text, size, false);
	check_text(text, size, true);
	return text;
}

/* --- platform: which one this is ------------------------------------------------------------------------------------- */

static char platform[80];
static bool is_gvisor;

/* The numbers that a release begins with: 6.17.0 of 6.17.0-1022-azure. */
static const char *version(const char *release)
{
	static char numbers[48];
	char *to = numbers;

	for (int i = 0, number, digits; i < 4 && strspn(release, DIGIT) && sscanf(release, "%9d%n", &number, &digits) == 1; i++) {
		to += sprintf(to, "%s%d", i ? "." : "", number);
		release += digits;
		if (*release++ != '.')
			break;
	}
	*to = 0;
	return numbers;
}

/* The first bytes of a file, without the white space at its end; empty where it cannot be read. */
static char *read_file(const char *path)
{
	static char text[4096];
	FILE *file = fopen(path, "r");
	size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;

	if (file)
		fclose(file);
	while (size && strchr(" \n", text[size - 1]))
		size--;
	text[size] = 0;
	return text;
}

#ifdef _WIN32
/* The names of Windows by build, as in conformance/platforms.toml. */
static const struct { unsigned build; bool server; const char *name; } builds[] = {
	{ 14393, true, "server-2016" }, { 17763, true, "server-2019" }, { 20348, true, "server-2022" },
	{ 26100, true, "server-2025" }, { 19045, false, "10" }, { 26100, false, "11" },
};

static void find_platform(void)
{
	HMODULE ntdll = GetModuleHandleA("ntdll.dll");
	LONG (WINAPI *get_version)(OSVERSIONINFOEXW *) = (LONG (WINAPI *)(OSVERSIONINFOEXW *))(void (*)(void))
		GetProcAddress(ntdll, "RtlGetVersion");
	OSVERSIONINFOEXW found = { .dwOSVersionInfoSize = sizeof found };
	const char *name = NULL;

	get_version(&found);
	for (size_t i = 0; i < COUNT(builds); i++)
		if (builds[i].server == (found.wProductType == 3) && (!name || builds[i].build <= found.dwBuildNumber))
			name = builds[i].name;
	if (GetProcAddress(ntdll, "wine_get_version"))
		snprintf(platform, sizeof platform, "wine-%lu.%lu.%lu", found.dwMajorVersion, found.dwMinorVersion, found.dwBuildNumber);
	else
		snprintf(platform, sizeof platform, "windows-%s", name);
}
#elif defined(__linux__)
/* Linux, or what calls itself Linux. The version is the upstream one, also where a vendor numbers differently. */
static void find_platform(void)
{
	const char *stack = "linux", *upstream, *debian;
	struct utsname found;
	char signature[3][128];

	uname(&found);
	upstream = found.release;
	is_gvisor = !strcmp(found.version, "#1 SMP Sun Jan 10 15:06:54 PST 2016") || strstr(found.release, "gvisor") ||
		strstr(read_file("/proc/cmdline"), "-gvisor");
	debian = strstr(found.version, "Debian ");
	if (is_gvisor) {
		stack = "gvisor";
		upstream = strncmp(found.release, "4.4", 3) ? "20260427" : "20240729";
	} else if (strstr(found.release, "Microsoft") && !strstr(found.release, "microsoft-standard")) {
		stack = "wsl1";
	} else if (debian && strspn(debian + 7, DIGIT)) {
		upstream = debian + 7;
	} else if (sscanf(read_file("/proc/version_signature"), "%127s %127s %127s", signature[0], signature[1], signature[2]) == 3 &&
	           !strcmp(signature[0], "Ubuntu")) {
		upstream = signature[2];
	}
	snprintf(platform, sizeof platform, "%s-%s", stack, version(upstream));
}
#else
static void find_platform(void)
{
	struct utsname found;
	char name[64] = "";

	uname(&found);
#ifdef __APPLE__
	size_t size = sizeof name;

	if (!strcmp(found.sysname, "Darwin")) {
		bool known = !sysctlbyname("kern.osproductversion", name, &size, NULL, 0);

		snprintf(platform, sizeof platform, "macos-%s", known ? name : version(found.release));
		return;
	}
#endif
	for (size_t i = 0; found.sysname[i] && i < sizeof name - 1; i++)
		name[i] = (char)(found.sysname[i] | (strchr(UPPER, found.sysname[i]) ? 0x20 : 0));
	snprintf(platform, sizeof platform, "%s-%s", name, version(found.release));
}
#endif

/* --- environment: a namespace for each scenario, or loopback and held ports ------------------------------------------ */

static enum { ALONE, USERNS, NETNS } isolation; /* ALONE: no namespaces */

enum entered { READY, NOT_RUN, BROKEN };
static char why[2 * MAX_LINE]; /* why the scenario in hand is not run, or what broke */

static enum entered because(enum entered how, const char *reason, ...)
{
	va_list values;

	va_start(values, reason);
	vsnprintf(why, sizeof why, reason, values);
	va_end(values);
	return how;
}

static void fill(struct sockaddr_storage *to, socklen_t *size, int family, const unsigned char *bytes, int port)
{
	memset(to, 0, sizeof *to);
	if (family == 6) {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)to;

		address->sin6_family = AF_INET6;
		address->sin6_port = htons((uint16_t)port);
		memcpy(&address->sin6_addr, bytes, 16);
		*size = sizeof *address;
	} else {
		struct sockaddr_in *address = (struct sockaddr_in *)to;

		address->sin_family = AF_INET;
		address->sin_port = htons((uint16_t)port);
		memcpy(&address->sin_addr, bytes, 4);
		*size = sizeof *address;
	}
}

static const unsigned char loopback4[4] = { 127, 0, 0, 1 }, loopback6[16] = { [15] = 1 };

static bool is_loopback(const struct address *address)
{
	static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };

	if (address->family == 4)
		return address->bytes[0] == 127;
	return !memcmp(address->bytes, loopback6, 16) || (!memcmp(address->bytes, mapped, 12) && address->bytes[12] == 127);
}

/* A socket bound to loopback; INVALID_SOCKET, and the errno, where it cannot be had. */
static sock bound(int family, int type, int port, int *error)
{
	sock made = socket(family == 4 ? AF_INET : AF_INET6, type, 0);
	struct sockaddr_storage address;
	socklen_t size;

	fill(&address, &size, family, family == 4 ? loopback4 : loopback6, port);
#ifdef _WIN32
	setsockopt(made, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&(int) { 1 }, sizeof(int));
#endif
	*error = 0;
	if (made != INVALID_SOCKET && !bind(made, (struct sockaddr *)&address, size))
		return made;
	*error = failure();
	if (made != INVALID_SOCKET)
		close(made);
	return INVALID_SOCKET;
}

/* Ports on a host: dealt in blocks below the ephemeral range; whoever listens on a block's first port owns it. */
enum { BLOCK = 32, LOWEST = 5120, HIGHEST = 32768 };

/* The first port that the OS may pick by itself, as far as it tells. */
static int ephemeral_start(void)
{
	int first = 0;
#if defined(__linux__)
	first = atoi(read_file("/proc/sys/net/ipv4/ip_local_port_range"));
#elif defined(__FreeBSD__)
	size_t size = sizeof first;

	if (sysctlbyname("net.inet.ip.portrange.first", &first, &size, NULL, 0))
		first = 10000;
#endif
	return first > 0 && first < HIGHEST ? first : HIGHEST;
}

static bool is_free(int port)
{
	static const int families[] = { 4, 6 }, types[] = { SOCK_STREAM, SOCK_DGRAM };
	int error;

	for (int i = 0; i < 4; i++) {
		sock made = bound(families[i % 2], types[i / 2], port, &error);

		if (made != INVALID_SOCKET)
			close(made);
		else if (families[i % 2] == 4 || !strcmp(errno_name(error), "EADDRINUSE"))
			return false;
	}
	return true;
}

/* A port that is free for TCP and UDP on loopback and given to nobody else; 0 where none is left. */
static int held_port(void)
{
	static int blocks[HIGHEST / BLOCK], count = -1, next, left;

	if (count < 0) {
		int last = ephemeral_start() - BLOCK;

		count = 0;
		for (int port = LOWEST < last ? LOWEST : 1024; port < last; port += BLOCK)
			blocks[count++] = port;
		srand((unsigned)getpid());
		for (int i = count - 1; i > 0; i--) {
			int j = rand() % (i + 1), other = blocks[i];

			blocks[i] = blocks[j];
			blocks[j] = other;
		}
	}
	for (;;) {
		while (left)
			if (is_free(next + --left))
				return next + left;
		for (sock lock = INVALID_SOCKET; lock == INVALID_SOCKET; ) {
			int error;

			if (!count)
				return 0;
			next = blocks[--count] + 1;
			lock = bound(4, SOCK_STREAM, next - 1, &error);
			if (lock != INVALID_SOCKET)
				listen(lock, 1);
		}
		left = BLOCK - 1;
	}
}

/* Whether the scenario would reach beyond loopback and ports that are held. */
static bool touches_the_host(void)
{
	static bool has_port[MAX_STEPS];

	memset(has_port, 0, sizeof has_port);
	for (const struct setting *setting = the.settings; setting < the.settings + the.setting_count; setting++) {
		bool all_local = !strncmp(platform, "linux-", 6) || is_gvisor || !strncmp(platform, "windows-", 8);

		if (setting->kind != ADDRESS || !all_local || !is_loopback(&setting->address))
			return true;
	}
	for (const struct step *step = the.steps; step < the.steps + the.step_count; step++) {
		bool *mine = &has_port[step->name ? step->name - the.sockets.names : 0];

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
			"run as root, or allow unprivileged user namespaces: sysctl user.max_user_namespaces, on Ubuntu "
			"kernel.apparmor_restrict_unprivileged_userns=0, in a container CAP_SYS_ADMIN or another seccomp profile)");
#else
			"this OS has none, and wildcard addresses, settings and other users are left alone on a host)");
#endif
	for (int i = 0; i < the.symbols.count; i++)
		if (!(the.symbols.names[i].port = held_port()))
			return because(BROKEN, "no block of ports is left on this host");
	return READY;
}

#ifdef __linux__
static const int uids[USERS] = { [USER1] = 64001, [USER2] = 64002, [ROOT] = 0 };

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
	struct rtattr head = { .rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = (unsigned short)type };

	put(request, &head, sizeof head);
	put(request, bytes, size);
}

static struct request request_of(int type, int flags, const void *body, size_t size)
{
	struct request request = { .head = { sizeof request.head, (uint16_t)type, (uint16_t)(NLM_F_REQUEST | flags), 1, 0 } };

	put(&request, body, size);
	return request;
}

/* Send it; `answer` takes what comes back. Returns 0 or an errno. */
static int ask(int link, const struct request *request, void *answer, size_t size)
{
	union { struct nlmsghdr head; char bytes[8192]; } got;
	ssize_t length;

	if (send(link, request, request->head.nlmsg_len, 0) < 0)
		return errno;
	length = recv(link, &got, sizeof got, 0);
	if (length < 0)
		return errno;
	if (got.head.nlmsg_type == NLMSG_ERROR)
		return -((struct nlmsgerr *)NLMSG_DATA(&got.head))->error;
	if (answer)
		memcpy(answer, NLMSG_DATA(&got.head), size);
	return 0;
}

static int ask_once(const struct request *request)
{
	int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error = link < 0 ? errno : ask(link, request, NULL, 0);

	if (link >= 0)
		close(link);
	return error;
}

/* An interface of the first type that this kernel has. */
static int add_device(const char *name)
{
	static const char *const types[] = { "dummy", "bridge", "veth" };
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	int error = 0;

	for (size_t i = 0; i < COUNT(types); i++) {
		struct request request = request_of(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
		struct { struct rtattr head; char type[8]; } info = { .head = { .rta_type = IFLA_INFO_KIND } };

		strcpy(info.type, types[i]);
		info.head.rta_len = (unsigned short)RTA_LENGTH(strlen(types[i]));
		put_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
		put_attribute(&request, IFLA_LINKINFO, &info, info.head.rta_len);
		error = ask_once(&request);
		if (error != EOPNOTSUPP)
			break;
	}
	return error;
}

/* A route of the table `local` by lo. */
static struct request local_route(int type, int flags, int family, int bits, const unsigned char *address)
{
	struct rtmsg body = {
		.rtm_family = family == 4 ? AF_INET : AF_INET6, .rtm_dst_len = (unsigned char)bits, .rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = RTPROT_KERNEL, .rtm_scope = family == 4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE, .rtm_type = RTN_LOCAL,
	};
	struct request request = request_of(type, NLM_F_ACK | flags, &body, sizeof body);

	put_attribute(&request, RTA_DST, address, family == 4 ? 4 : 16);
	put_attribute(&request, RTA_OIF, &(uint32_t) { 1 }, 4);
	return request;
}

static int add_address(const struct address *address)
{
	size_t size = address->family == 4 ? 4 : 16;
	struct ifaddrmsg body = {
		.ifa_family = address->family == 4 ? AF_INET : AF_INET6, .ifa_prefixlen = (unsigned char)(size * 8),
		.ifa_flags = address->family == 4 ? 0 : IFA_F_NODAD, .ifa_index = if_nametoindex("lo"),
	};
	struct request request = request_of(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	int error;

	put_attribute(&request, IFA_ADDRESS, address->bytes, size);
	put_attribute(&request, IFA_LOCAL, address->bytes, size);
	error = ask_once(&request);
	if ((error && error != EEXIST) || address->family == 4)
		return error == EEXIST ? 0 : error;
	request = local_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 6, 128, address->bytes); /* else entered later */
	return ask_once(&request);
}

/* Have loopback acknowledge at once, where the kernel lets it: no FIN then waits for a delayed acknowledgement. */
static void hurry(void)
{
	static const unsigned char net[4] = { 127, 0, 0, 0 };
	static const struct { int family, bits; const unsigned char *address; } routes[] = {
		{ 4, 8, net }, { 4, 32, loopback4 }, { 6, 128, loopback6 },
	};
	struct { struct rtattr head; uint32_t on; } quickack = { { sizeof quickack, RTAX_QUICKACK }, 1 };

	for (size_t i = 0; i < COUNT(routes); i++) {
		struct request request = local_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, routes[i].family, routes[i].bits,
			routes[i].address);

		if (routes[i].family == 4)
			put_attribute(&request, RTA_PREFSRC, loopback4, 4);
		put_attribute(&request, RTA_METRICS, &quickack, sizeof quickack);
		if (ask_once(&request))
			return;
		if (routes[i].family == 6) { /* the kernel's own has a better metric, which cannot be asked for */
			request = local_route(RTM_DELROUTE, 0, 6, 128, loopback6);
			ask_once(&request);
		}
	}
}

static int write_file(const char *path, const char *text, int flags)
{
	int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0666), error = 0;

	if (file < 0)
		return errno;
	if (write(file, text, strlen(text)) < 0)
		error = errno;
	close(file);
	return error;
}

/* Become root of a user namespace of one's own, in which network namespaces may be made. */
static int own_user_namespace(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char users_map[32], groups_map[32];
	int error;

	snprintf(users_map, sizeof users_map, "0 %u 1", uid);
	snprintf(groups_map, sizeof groups_map, "0 %u 1", gid);
	if (unshare(CLONE_NEWUSER))
		return errno;
	error = write_file("/proc/self/setgroups", "deny", 0);
	error = error ? error : write_file("/proc/self/uid_map", users_map, 0);
	return error ? error : write_file("/proc/self/gid_map", groups_map, 0);
}

/* Make a network namespace and move into it. */
static int new_namespace(void)
{
	struct ifreq lo = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int any, error = 0;

	if (unshare(CLONE_NEWNET))
		return errno;
	strcpy(lo.ifr_name, "lo");
	any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (any < 0)
		return errno;
	if (ioctl(any, SIOCSIFFLAGS, &lo) && errno != ENOTTY) /* gVisor, where it is up from the start */
		error = errno;
	close(any);
	return error;
}

/* Tried in children, for a half-made namespace cannot be left again. */
static void isolate(void)
{
	for (isolation = NETNS; isolation != ALONE; isolation--) {
		int status;
		pid_t child = fork();

		if (!child)
			_exit((isolation == USERNS && own_user_namespace()) || new_namespace());
		if (child > 0 && waitpid(child, &status, 0) == child && !status)
			break;
	}
	if (isolation == USERNS && own_user_namespace())
		isolation = ALONE;
}

static bool is_isolated_setting(const char *name)
{
	int parts = 0;

	if (strncmp(name, "net.ipv", 7) || !strspn(name + 7, "46"))
		return false;
	for (name += 8; *name == '.' && strspn(name + 1, WORD); parts++)
		name += 1 + strspn(name + 1, WORD);
	return !*name && parts >= 1 && parts <= 4;
}

static enum entered write_setting(const char *name, const char *value, int *error)
{
	char path[MAX_LINE + 32];

	if (is_gvisor)
		return because(NOT_RUN, "the settings of gVisor are those of its whole sandbox, not of a network namespace");
	if (!is_isolated_setting(name))
		return because(NOT_RUN, "%s is no setting that a network namespace isolates (net.ipv4.\xE2\x80\xA6, net.ipv6.\xE2\x80\xA6)", name);
	snprintf(path, sizeof path, "/proc/sys/%s", name);
	for (char *c = path; *c; c++)
		if (*c == '.')
			*c = '/';
	*error = write_file(path, value, O_CREAT | O_TRUNC);
	return *error == ENOENT ? because(NOT_RUN, "this kernel has no setting %s", name) : READY;
}

static enum entered apply_setting(const struct setting *setting)
{
	static const char *const words[] = { "sysctl", "ephemeral", "address", "device" };
	enum entered entered = READY;
	char range[16];
	int error = 0;

	switch (setting->kind) {
	case SYSCTL:
		entered = write_setting(setting->name, setting->value, &error);
		break;
	case EPHEMERAL:
		snprintf(range, sizeof range, "%d %d", setting->low, setting->high);
		entered = write_setting("net.ipv4.ip_local_port_range", range, &error);
		break;
	case ADDRESS:
		error = add_address(&setting->address);
		break;
	case DEVICE:
		error = add_device(setting->value);
	}
	if (entered == READY && error)
		return because(NOT_RUN, "'%s %s%s%s' is refused (%s)", words[setting->kind], setting->name ? setting->name : "",
			setting->name ? " = " : "", setting->value, errno_name(error));
	return entered;
}

static int become(enum user user)
{
	return user != NOBODY && seteuid((uid_t)uids[user]) ? errno : 0;
}

static void become_root_again(enum user user)
{
	if (user != NOBODY && seteuid(0))
		abort();
}

static enum entered try_user(enum user user)
{
	int error;

	if (isolation != NETNS)
		return because(NOT_RUN, "needs other users (run as root: a user namespace of one's own holds one user)");
	error = become(user);
	if (error)
		return because(NOT_RUN, "needs other users (whose ids cannot be taken here: %s)", errno_name(error));
	become_root_again(user);
	return READY;
}

/* Ports for the symbols: not privileged, outside the ephemeral range, and not among those that have a number. */
static enum entered deal_ports(void)
{
	static bool taken[1 << 16];
	int low = 32768, high = 60999, start = 1024, at = 0, port = 10000, number;

	if (sscanf(read_file("/proc/sys/net/ipv4/ip_local_port_range"), "%d %d", &low, &high) != 2)
		low = 32768, high = 60999;
	if (sscanf(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start"), "%d", &number) == 1)
		start = number;
	memset(taken, 0, sizeof taken);
	for (const struct step *step = the.steps; step < the.steps + the.step_count; step++)
		taken[step->address.port] = true;
	for (int tried = 1024; at < the.symbols.count && tried < 1 << 16; tried++, port = port == 65535 ? 1024 : port + 1)
		if (port >= start && !(port >= low && port <= high) && !taken[port])
			the.symbols.names[at++].port = port;
	if (at < the.symbols.count)
		return because(NOT_RUN, "no port outside the ephemeral range %d-%d is left for %s", low, high, the.symbols.names[at].text);
	return READY;
}

static enum entered in_a_namespace(void)
{
	enum entered entered = READY;
	bool connects = false;
	int error;

	for (const struct step *step = the.steps; step < the.steps + the.step_count; step++) {
		connects |= step->verb == CONNECT;
		if ((step->user == USER1 || step->user == USER2) && (entered = try_user(step->user)))
			return entered;
	}
	error = new_namespace();
	if (error)
		return because(BROKEN, "no network namespace can be made (%s)", errno_name(error));
	if (connects)
		hurry();
	for (int i = 0; i < the.setting_count && entered == READY; i++)
		entered = apply_setting(&the.settings[i]);
	return entered == READY && the.symbols.count ? deal_ports() : entered;
}
#else
static void isolate(void)
{
}

static enum entered in_a_namespace(void)
{
	return READY;
}

static int become(enum user user)
{
	(void)user;
	return 0;
}

static void become_root_again(enum user user)
{
	(void)user;
}
#endif

/* Make the scenario's environment, and the ports of its symbols. */
static enum entered enter(void)
{
	static int ipv6 = -1;
	enum entered entered = isolation == ALONE ? on_the_host() : in_a_namespace();
	bool uses = false;

	if (ipv6 < 0 && entered == READY) {
		int error;
		sock made = bound(6, SOCK_STREAM, 0, &error);

		ipv6 = made != INVALID_SOCKET;
		if (ipv6)
			close(made);
	}
	for (const struct step *step = the.steps; step < the.steps + the.step_count; step++)
		uses |= step->family == 6 || step->address.family == 6;
	return entered == READY && uses && !ipv6 ? because(NOT_RUN, "this system has no IPv6") : entered;
}

/* --- perform --------------------------------------------------------------------------------------------------------- */

enum { TIMEOUT = -1, UNREACHED = -2 }; /* what a step comes to, if not to 0 or an errno */

static double scenario_seconds = 10, patience = 0.2;

/* The scenario's time is up: whatever blocks is interrupted, again and again so that no call is missed. */
static volatile sig_atomic_t time_is_up;

static double now(void)
{
#ifdef _WIN32
	return (double)GetTickCount64() / 1000;
#else
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
#endif
}

static void pause_for(double seconds)
{
#ifdef _WIN32
	Sleep((DWORD)(seconds * 1000));
#else
	struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&time, NULL); /* or until the time is up */
#endif
}

#ifdef _WIN32
static volatile sock under_way = INVALID_SOCKET;
static HANDLE timer;

static void CALLBACK up(void *nothing, BOOLEAN fired)
{
	(void)nothing, (void)fired;
	time_is_up = 1;
	if (under_way != INVALID_SOCKET)
		closesocket(under_way); /* which ends the call */
}

static void set_alarm(double seconds)
{
	time_is_up = 0;
	CreateTimerQueueTimer(&timer, NULL, up, NULL, (DWORD)(seconds * 1000), 100, 0);
}

static void end_alarm(void)
{
	DeleteTimerQueueTimer(NULL, timer, INVALID_HANDLE_VALUE);
}
#else
static void up(int signal)
{
	(void)signal;
	time_is_up = 1;
}

static void set_alarm(double seconds)
{
	struct itimerval timer = { { 0, 100000 }, { (time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) } };

	time_is_up = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void end_alarm(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval) { 0 }, NULL);
}
#endif

static void set_blocking(sock sock, bool on)
{
#ifdef _WIN32
	ioctlsocket(sock, FIONBIO, &(u_long) { !on });
#else
	int flags = fcntl(sock, F_GETFL);

	fcntl(sock, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
#endif
}

static void await_readable(sock sock)
{
#ifdef _WIN32
	fd_set one;
	struct timeval most = { (long)patience, (long)((patience - (double)(long)patience) * 1e6) };

	FD_ZERO(&one);
	FD_SET(sock, &one);
	select(0, &one, NULL, NULL, &most);
#else
	poll(&(struct pollfd) { .fd = sock, .events = POLLIN }, 1, (int)(patience * 1000));
#endif
}

/* The connections of the scenario that were ended, until each has left FIN_WAIT1, CLOSING and LAST_ACK. */
static struct pair { struct sockaddr_storage local, foreign; } ended[MAX_STEPS];
static int ended_count, diag = -1;

static void note_ended(sock sock)
{
	struct pair *pair = &ended[ended_count];
	socklen_t local = sizeof pair->local, foreign = sizeof pair->foreign;

	if (!getpeername(sock, (struct sockaddr *)&pair->foreign, &foreign) &&
	    !getsockname(sock, (struct sockaddr *)&pair->local, &local))
		ended_count++; /* at most once a step */
}

static bool is_stream(const struct name *name)
{
	return protocols[name->protocol].type == SOCK_STREAM;
}

#ifdef __linux__
static const unsigned passing = 1 << 4 | 1 << 9 | 1 << 11; /* states of include/net/tcp_states.h */

/* The state of one TCP connection, 0 where there is none; negative: cannot be asked. */
static int state_of(const struct pair *pair)
{
	const struct sockaddr_in *local4 = (const void *)&pair->local, *foreign4 = (const void *)&pair->foreign;
	const struct sockaddr_in6 *local6 = (const void *)local4, *foreign6 = (const void *)foreign4;
	bool four = local4->sin_family == AF_INET;
	struct inet_diag_req_v2 body = {
		.sdiag_family = (uint8_t)local4->sin_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u,
		.id = { .idiag_sport = local4->sin_port, .idiag_dport = foreign4->sin_port, .idiag_cookie = { ~0u, ~0u } },
	};
	struct inet_diag_msg answer;
	struct request request;
	int error;

	memcpy(body.id.idiag_src, four ? (const void *)&local4->sin_addr : &local6->sin6_addr, four ? 4 : 16);
	memcpy(body.id.idiag_dst, four ? (const void *)&foreign4->sin_addr : &foreign6->sin6_addr, four ? 4 : 16);
	request = request_of(SOCK_DIAG_BY_FAMILY, 0, &body, sizeof body);
	error = ask(diag, &request, &answer, sizeof answer);
	if (error)
		return error == ENOENT ? 0 : -error;
	return answer.id.idiag_sport == body.id.idiag_sport && answer.id.idiag_dport == body.id.idiag_dport ? answer.idiag_state : 0;
}

static bool any_in_proc(void)
{
	static const char *const paths[] = { "/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6" };
	bool found = false;

	for (size_t i = 0; i < COUNT(paths); i++) {
		FILE *file = fopen(paths[i], "r");
		char text[512];
		unsigned state;

		while (file && fgets(text, sizeof text, file))
			found |= sscanf(text, "%*s %*s %*s %x", &state) == 1 && state < 32 && (passing >> state & 1);
		if (file)
			fclose(file);
	}
	return found;
}

static bool any_passing(void)
{
	if (diag < 0)
		diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	while (ended_count) {
		int state = diag < 0 ? -1 : state_of(&ended[ended_count - 1]);

		if (state < 0)
			return any_in_proc(); /* a kernel without inet_diag, or gVisor */
		if (passing >> state & 1)
			return true;
		ended_count--;
	}
	return false;
}

static void acknowledge_now(void)
{
	for (struct name *name = the.sockets.names; name < the.sockets.names + the.sockets.count; name++)
		if (name->sock != INVALID_SOCKET && !strcmp(protocols[name->protocol].name, "tcp"))
			setsockopt(name->sock, IPPROTO_TCP, TCP_QUICKACK, &(int) { 1 }, sizeof(int));
}
#elif defined(_WIN32)
static bool any_passing(void)
{
	static char room[1 << 20];
	ULONG size = sizeof room;
	bool found = false;

	if (!GetTcpTable2((MIB_TCPTABLE2 *)room, &size, FALSE))
		for (DWORD i = 0; i < ((MIB_TCPTABLE2 *)room)->dwNumEntries; i++) {
			DWORD state = ((MIB_TCPTABLE2 *)room)->table[i].dwState;

			found |= state == MIB_TCP_STATE_FIN_WAIT1 || state == MIB_TCP_STATE_CLOSING || state == MIB_TCP_STATE_LAST_ACK;
		}
	size = sizeof room;
	if (!GetTcp6Table2((MIB_TCP6TABLE2 *)room, &size, FALSE))
		for (DWORD i = 0; i < ((MIB_TCP6TABLE2 *)room)->dwNumEntries; i++) {
			MIB_TCP_STATE state = ((MIB_TCP6TABLE2 *)room)->table[i].State;

			found |= state == MIB_TCP_STATE_FIN_WAIT1 || state == MIB_TCP_STATE_CLOSING || state == MIB_TCP_STATE_LAST_ACK;
		}
	return found;
}

static void acknowledge_now(void)
{
}
#else
static bool any_passing(void)
{
	FILE *listing = popen("netstat -an 2>/dev/null", "r");
	bool found = false;
	char text[512];

	while (listing && fgets(text, sizeof text, listing))
		found |= !strncmp(text, "tcp", 3) &&
			(strstr(text, "FIN_WAIT_1") || strstr(text, "CLOSING") || strstr(text, "LAST_ACK"));
	if (listing)
		pclose(listing);
	return found;
}

static void acknowledge_now(void)
{
}
#endif

static void settle(void)
{
	double until = now() + 0.5;
	bool hurried = false;

	while (ended_count && any_passing() && now() < until && !time_is_up) {
		if (!hurried)
			acknowledge_now();
		else
			pause_for(0.0005);
		hurried = true;
	}
}

static void note_port(struct name *name)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;

	if (name->sock != INVALID_SOCKET) /* on Windows a socket that is not bound has no name */
		name->port = getsockname(name->sock, (struct sockaddr *)&address, &size)
			? 0 : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* The address that a step names: 0 or UNREACHED. */
static int target(const struct address *address, struct sockaddr_storage *to, socklen_t *size)
{
	int port = address->port;

	if (address->symbol)
		port = address->symbol->port;
	if (address->owner) {
		note_port(address->owner);
		port = address->owner->port;
		if (!port)
			return UNREACHED;
	}
	fill(to, size, address->family, address->bytes, port);
	return 0;
}

static int check(int result)
{
	return result < 0 ? failure() : 0;
}

static int to_address(struct step *step, struct name *name)
{
	struct sockaddr_storage to;
	socklen_t size;
	int error = target(&step->address, &to, &size);

	if (error)
		return error;
	if (step->verb == BIND)
		return check(bind(name->sock, (struct sockaddr *)&to, size));
	if (step->verb == CONNECT)
		return check(connect(name->sock, (struct sockaddr *)&to, size));
	return check((int)sendto(name->sock, "x", 1, 0, (struct sockaddr *)&to, size));
}

static int find_option(const char *name, int *level, int *number)
{
	for (size_t i = 0; i < COUNT(here); i++) {
		if (!strcmp(here[i].name, name)) {
			*level = here[i].level;
			*number = here[i].number;
			return 0;
		}
	}
	return NO_SUCH_OPTION;
}

static int set_option(sock sock, const struct option *option)
{
	union { int number; uint32_t range; struct linger linger; char text[256]; } value = { 0 };
	const char *text = option->value ? option->value : "1";
	int level, number, error = find_option(option->known->name, &level, &number);
	size_t size = sizeof value.number;

	if (error)
		return error;
	if (option->raw) {
		size = strlen(text) / 2;
		for (size_t i = 0; i < size; i++) {
			char digits[3] = { text[2 * i], text[2 * i + 1] };

			value.text[i] = (char)strtol(digits, NULL, 16);
		}
	} else if (option->known->form == LINGER) {
		size = sizeof value.linger;
		value.linger.l_onoff = strcmp(text, "off") != 0;
		value.linger.l_linger = atoi(text); /* 0 for off */
	} else if (option->known->form == RANGE) {
		value.range = (uint32_t)atoi(strchr(text, '-') + 1) << 16 | (uint32_t)atoi(text);
	} else if (option->known->form == TEXT) {
		strcpy(value.text, text);
		size = strlen(text) + 1;
	} else {
		value.number = (int)strtol(text, NULL, 10);
	}
	return check(setsockopt(sock, level, number, (const void *)&value, (socklen_t)size));
}

static int call_set(struct step *step, struct name *name)
{
	return set_option(name->sock, step->options);
}

static int call_get(struct step *step, struct name *name)
{
	union { int number; uint32_t range; struct linger linger; char text[64]; } got = { 0 };
	enum form form = step->options->known->form;
	socklen_t size = form == LINGER ? sizeof got.linger : form == TEXT ? sizeof got.text : sizeof got.number;
	int level, number, error = find_option(step->options->known->name, &level, &number);
	char text[80];

	if (!error)
		error = check(getsockopt(name->sock, level, number, (void *)&got, &size));
	if (error)
		return error;
	if (form == LINGER && !got.linger.l_onoff)
		strcpy(text, "off");
	else if (form == LINGER)
		snprintf(text, sizeof text, "%d", (int)got.linger.l_linger);
	else if (form == RANGE)
		snprintf(text, sizeof text, "%u-%u", (unsigned)(got.range & 0xFFFF), (unsigned)(got.range >> 16));
	else if (form == TEXT)
		snprintf(text, sizeof text, "%.*s", (int)size, got.text);
	else
		snprintf(text, sizeof text, "%d", form == FLAG ? got.number != 0 : got.number);
	step->value = keep_text(text, strlen(text));
	return 0;
}

static int call_listen(struct step *step, struct name *name)
{
	return check(listen(name->sock, step->argument));
}

static int call_disconnect(struct step *step, struct name *name)
{
	struct sockaddr_storage unspecified = { 0 };

	(void)step;
	return check(connect(name->sock, (struct sockaddr *)&unspecified, 28));
}

static int call_accept(struct step *step, struct name *listener)
{
	sock child;
	int error = 0;

	await_readable(listener->sock);
	set_blocking(listener->sock, false); /* the last look: tells EINVAL from nothing, and cannot block */
	child = accept(listener->sock, NULL, NULL);
	if (child == INVALID_SOCKET)
		error = failure() == NOTHING_YET ? TIMEOUT : failure();
	set_blocking(listener->sock, true);
	if (error)
		return error;
	set_blocking(child, true);
	step->name->sock = child;
	step->name->protocol = listener->protocol;
	step->name->user = listener->user;
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

static int call_eof(struct step *step, struct name *name)
{
	static char bytes[65536];
	int got;

	(void)step;
	while ((got = (int)recv(name->sock, bytes, sizeof bytes, 0)) > 0)
		;
	return check(got);
}

static int call_send(struct step *step, struct name *name)
{
	(void)step;
	return check((int)send(name->sock, "x", 1, 0));
}

static int call_recv(struct step *step, struct name *name)
{
	static char bytes[65536];
	int error = 0;

	(void)step;
	await_readable(name->sock);
	set_blocking(name->sock, false);
	if (recv(name->sock, bytes, is_stream(name) ? 1 : sizeof bytes, 0) < 0)
		error = failure() == NOTHING_YET ? TIMEOUT : failure();
	set_blocking(name->sock, true);
	return error;
}

static int call_close(struct step *step, struct name *name)
{
	sock sock = name->sock;

	(void)step;
	note_port(name);
	if (is_stream(name))
		note_ended(sock);
	name->sock = INVALID_SOCKET;
	close(sock);
	settle();
	return 0;
}

static int call_name(struct step *step, struct name *name)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	int error = check(getsockname(name->sock, (struct sockaddr *)&address, &size));
	bool six = address.ss_family == AF_INET6;
	char host[INET6_ADDRSTRLEN], text[80];

	if (error)
		return error;
	inet_ntop(address.ss_family, six ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
		: (void *)&((struct sockaddr_in *)&address)->sin_addr, host, sizeof host);
	snprintf(text, sizeof text, six ? "[%s]:%d" : "%s:%d", host, ntohs(((struct sockaddr_in *)&address)->sin_port));
	step->value = keep_text(text, strlen(text));
	return 0;
}

static int create(struct step *step)
{
	struct name *name = step->name;
	int error = become(step->user);

	name->protocol = step->protocol;
	name->user = step->user;
	if (error)
		return error;
	name->sock = socket(step->family == 4 ? AF_INET : AF_INET6, protocols[step->protocol].type, protocols[step->protocol].number);
	if (name->sock == INVALID_SOCKET)
		error = failure();
	for (int i = 0; i < step->option_count && !error; i++)
		error = set_option(name->sock, &step->options[i]);
	become_root_again(step->user);
	name->failed = error && !step->survives;
	return error;
}

static int (*const calls[VERBS])(struct step *, struct name *) = {
	[CLOSE] = call_close, [DISCONNECT] = call_disconnect, [UNTIL_EOF] = call_eof, [NAME] = call_name, [RECV] = call_recv,
	[SEND] = call_send, [BIND] = to_address, [CONNECT] = to_address, [SENDTO] = to_address, [GET] = call_get,
	[LISTEN] = call_listen, [SET] = call_set, [SHUTDOWN] = call_shutdown, [ACCEPT] = call_accept,
};

static int perform_step(struct step *step)
{
	struct name *name = step->listener ? step->listener : step->name;
	bool always = step->verb == CLOSE || step->verb == NAME || step->verb == GET || step->verb == SET;
	int error;

	if (step->verb == CREATE)
		return create(step);
	if (name->sock == INVALID_SOCKET || (name->failed && !always))
		return UNREACHED;
	error = become(name->user);
	if (!error) {
#ifdef _WIN32
		under_way = name->sock;
#endif
		error = calls[step->verb](step, name);
#ifdef _WIN32
		under_way = INVALID_SOCKET;
#endif
		become_root_again(name->user);
	}
	if (error && error != UNREACHED && step->verb != ACCEPT && !step->survives)
		name->failed = true;
	return error;
}

/* Close whatever is open, by reset: an orphan would keep the namespace, or the port, for a while. */
static void close_all(void)
{
	struct linger reset = { 1, 0 };

	for (struct name *name = the.sockets.names; name < the.sockets.names + the.sockets.count; name++) {
		if (name->sock == INVALID_SOCKET)
			continue;
		setsockopt(name->sock, SOL_SOCKET, SO_LINGER, (void *)&reset, sizeof reset);
		close(name->sock);
	}
	if (diag >= 0)
		close(diag);
	diag = -1;
	ended_count = 0;
}

/* Do every step; when the time is up the step under way is `timeout` and all after it `unreached`. */
static void perform(void)
{
	bool over = false;

	set_alarm(scenario_seconds + the.waits);
	for (struct step *step = the.steps; step < the.steps + the.step_count; step++) {
		step->result = UNREACHED;
		if (over)
			continue;
		if (step->verb == WAIT)
			pause_for(step->seconds);
		else
			step->result = perform_step(step);
		over = time_is_up;
		if (over && step->verb != WAIT)
			step->result = TIMEOUT;
	}
	end_alarm();
	close_all();
}

/* --- print ----------------------------------------------------------------------------------------------------------- */

static void print_text(const char *text)
{
	uint32_t code;

	putchar('"');
	for (int length; *text; text += length ? length : 1) {
		length = decode(text, &code);
		if (!length)
			code = 0xFFFD;
		if (code == '\t')
			printf("\\t");
		else if (code >= ' ' && code <= '~')
			printf(code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
		else if (code > 0xFFFF)
			printf("\\u%04x\\u%04x", 0xD800 + (unsigned)((code - 0x10000) >> 10), 0xDC00 + (unsigned)(code & 0x3FF));
		else
			printf("\\u%04x", (unsigned)code);
	}
	putchar('"');
}

static void print_step(const struct step *step)
{
	static const char *const results[] = { [0] = "ok", [-TIMEOUT] = "timeout", [-UNREACHED] = "unreached" };

	printf("{\"step\": \"%s.%s", step->name->text, verb_names[step->verb]);
	if (step->occurrence > 1)
		printf("#%d", step->occurrence);
	printf("\", \"outcome\": \"%s\", \"value\": ", step->result > 0 ? errno_name(step->result) : results[-step->result]);
	if (step->value && !step->result)
		print_text(step->value);
	else
		printf("null");
	putchar('}');
}

static void print_scenario(bool run)
{
	const char *separator = "";

	printf("{\"platform\": \"%s\"", platform);
	if (the.title) {
		printf(", \"title\": ");
		print_text(the.title);
	}
	if (run) {
		printf(", \"steps\": [");
		for (const struct step *step = the.steps; step < the.steps + the.step_count; step++) {
			if (step->verb == WAIT)
				continue;
			printf("%s", separator);
			print_step(step);
			separator = ", ";
		}
		printf("]}\n");
	} else {
		printf(", \"not_run\": ");
		print_text(why);
		printf("}\n");
	}
	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "runner: the output cannot be written: %s\n", strerror(errno));
		exit(1);
	}
}

static double seconds_of(const char *option, const char *text)
{
	char *end = NULL;
	double seconds = text && strspn(text, DIGIT ".") ? strtod(text, &end) : -1;

	if (!end || *end || seconds > 86400) {
		fprintf(stderr, "runner: %s: a number of seconds should follow, at most 86400\n", option);
		exit(2);
	}
	return seconds;
}

static void prepare(void)
{
#ifdef _WIN32
	WSADATA data;

	_setmode(_fileno(stdin), _O_BINARY);
	_setmode(_fileno(stdout), _O_BINARY);
	if (WSAStartup(MAKEWORD(2, 2), &data))
		exit(1);
#else
	struct sigaction action = { .sa_handler = up }; /* without SA_RESTART: a call that blocks is interrupted */
	struct rlimit files;

	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
#endif
	find_platform();
	isolate();
}

int main(int count, char **arguments)
{
	struct place place;
	int status = 0;
	char *text;

	for (int i = 1; i < count; i += 2) {
		if (!strcmp(arguments[i], "-t")) {
			scenario_seconds = seconds_of("-t", arguments[i + 1]);
		} else if (!strcmp(arguments[i], "-p")) {
			patience = seconds_of("-p", arguments[i + 1]);
		} else {
			fprintf(stderr, "runner: %s: no such argument; usage: runner [-t SECONDS] [-p SECONDS] <FILE\n", arguments[i]);
			return 2;
		}
	}
	text = read_input();
	for (place = (struct place) { text, 1 }; place.at; )
		read_scenario(&place);
	prepare();
	for (place = (struct place) { text, 1 }; place.at; ) {
		enum entered entered;

		read_scenario(&place);
		entered = enter();
		if (entered == BROKEN) {
			fprintf(stderr, "runner: %s%s%s\n", the.title ? the.title : "", the.title ? ": " : "", why);
			status = 1;
			continue;
		}
		if (entered == READY)
			perform();
		print_scenario(entered == READY);
	}
	begin();
	free(text);
	return status;
}
