// The service that every supervisor runs in a measurement: small, static, and a witness of its own life.
//
//   benchworker idle NAME             notes when it began, then sleeps until a signal ends it
//   benchworker spew NAME BYTES       writes BYTES in numbered lines of 100 bytes, notes how long that took, then sleeps
//   benchworker serve NAME PORT MS    after MS milliseconds listens on 127.0.0.1:PORT, notes when, and answers HTTP for ever
//
// A note is the file $MARK/NAME.WHAT.PID with one number; it appears complete or not at all. Times are CLOCK_MONOTONIC.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE 100
#define LINES 655  // as many as fit into 64 KiB, a pipe's size

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void note(const char *name, const char *what, double value) {
    char path[512], temporary[520], text[64];
    const char *folder = getenv("MARK");
    if (!folder) { fprintf(stderr, "set MARK\n"); _exit(2); }
    snprintf(path, sizeof path, "%s/%s.%s.%d", folder, name, what, getpid());
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int file = open(temporary, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    int length = snprintf(text, sizeof text, "%.9f\n", value);
    if (file < 0 || write(file, text, length) != length) _exit(3);
    close(file);
    if (rename(temporary, path)) _exit(3);
}

static void spew(const char *name, long long bytes) {
    static char buffer[LINE * LINES];
    double began = now();
    for (long long line = 0, left = bytes; left > 0;) {
        int lines = 0;
        for (; lines < LINES && left > 0; lines++, line++, left -= LINE) {
            char *text = buffer + lines * LINE;
            memset(text, 'x', LINE - 1);
            int length = snprintf(text, LINE - 1, "%s line %012lld ", name, line);
            text[length] = 'x';
            text[LINE - 1] = '\n';
        }
        char *at = buffer;
        for (long rest = (long)lines * LINE; rest > 0;) {
            ssize_t written = write(1, at, rest);
            if (written <= 0) { note(name, "error", now()); exit(1); }
            at += written;
            rest -= written;
        }
    }
    note(name, "done", now() - began);
}

static void serve(const char *name, int port, int delay_ms) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    usleep(delay_ms * 1000);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 64)) { note(name, "error", now()); exit(1); }
    note(name, "listen", now());
    for (;;) {
        char request[2048];
        int client = accept(listener, 0, 0);
        if (client < 0) continue;
        if (read(client, request, sizeof request) > 0 && write(client, answer, sizeof answer - 1) < 0) { /* it left */ }
        close(client);
    }
}

int main(int count, char **words) {
    double began = now();
    if (count < 3) return 2;
    note(words[2], "start", began);
    if (!strcmp(words[1], "spew") && count > 3) spew(words[2], atoll(words[3]));
    if (!strcmp(words[1], "serve") && count > 4) serve(words[2], atoi(words[3]), atoi(words[4]));
    for (;;) pause();
}
