/* Tries to get away from its supervisor: forks twice into new sessions, and (hop) goes on doing so. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void say(void) {
    char line[64];
    int length = snprintf(line, sizeof line, "escaped %d\n", (int)getpid());
    if (write(1, line, length) < 0) _exit(1);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "stay";
    int count = argc > 2 ? atoi(argv[2]) : 1;
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            setsid();
            if (fork() != 0) _exit(0);
            setsid();
            clearenv();
            if (strcmp(mode, "leave") != 0) signal(SIGTERM, SIG_IGN);
            say();
            if (strcmp(mode, "hop") == 0) {
                for (;;) {
                    if (fork() != 0) _exit(0);
                    setsid();
                    usleep(300);
                }
            }
            for (;;) pause();
        }
    }
    if (strcmp(mode, "leave") == 0) {
        usleep(100000);
        return 0;
    }
    for (;;) pause();
}
