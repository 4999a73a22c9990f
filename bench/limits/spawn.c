/* How many processes per second this machine can start and reap at all.
 *
 *     spawn fork|vfork|spawn IN_FLIGHT SECONDS PROGRAM
 *
 * Keeps IN_FLIGHT children of PROGRAM going for SECONDS, reaps them all, prints starts per second.
 * fork is the classic fork + exec; vfork and spawn (posix_spawn) do not copy the parent's tables.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *environment[] = {"PATH=/usr/bin:/bin", NULL};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void start(const char *mode, char *program)
{
    char *const argv[] = {program, NULL};
    pid_t pid;
    if (strcmp(mode, "spawn") == 0) {
        if (posix_spawn(&pid, program, NULL, NULL, argv, environment) != 0)
            exit(2);
        return;
    }
    pid = strcmp(mode, "vfork") == 0 ? vfork() : fork();
    if (pid == 0) {
        execve(program, argv, environment);
        _exit(127);
    }
    if (pid < 0)
        exit(2);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: spawn fork|vfork|spawn IN_FLIGHT SECONDS PROGRAM\n");
        return 64;
    }
    int in_flight = atoi(argv[2]), live = 0, status;
    double seconds = atof(argv[3]), begun = now();
    long ended = 0;
    while (live < in_flight) {
        start(argv[1], argv[4]);
        live++;
    }
    while (live > 0) {
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return 3;
        live--;
        ended++;
        if (now() - begun < seconds) {
            start(argv[1], argv[4]);
            live++;
        }
    }
    printf("%.1f\n", ended / (now() - begun));
    return 0;
}
