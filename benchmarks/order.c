/* The system calls of order.scenario, each time in a namespace of its own: the reference for the runner. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int tcp(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		exit(2);
	return fd;
}

static void lo_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &request))
		exit(2);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(10000) };
	int rounds = argc > 1 ? atoi(argv[1]) : 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER))
		return 2;
	while (rounds--) {
		int listener, outgoing;

		if (unshare(CLONE_NEWNET))
			return 2;
		lo_up();
		listener = tcp();
		if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 8))
			return 2;
		outgoing = tcp();
		if (!bind(outgoing, (struct sockaddr *)&at, sizeof(at)))
			return 1;
		close(outgoing);
		close(listener);
	}
	return 0;
}
