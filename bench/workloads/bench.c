#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MOST_NOTES = 8 };

static struct {
    double cpu_start, wall_start; /* seconds */
    double cpu, wall;             /* seconds, of the measured part */
    size_t tables;                /* bytes of bench_table() */
    uint64_t operations;
    uint64_t digest;
    struct {
        const char *key;
        double value;
    } notes[MOST_NOTES];
    size_t note_count;
} run;

static double seconds_on(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void bench_begin(void)
{
    run.wall_start = seconds_on(CLOCK_MONOTONIC);
    run.cpu_start = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_end(uint64_t operations)
{
    run.cpu = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - run.cpu_start;
    run.wall = seconds_on(CLOCK_MONOTONIC) - run.wall_start;
    run.operations = operations;
}

void bench_note(const char *key, double value)
{
    if (run.note_count == MOST_NOTES) {
        bench_fail("too many notes");
    }
    run.notes[run.note_count].key = key;
    run.notes[run.note_count++].value = value;
}

void bench_digest(uint64_t value)
{
    run.digest = (run.digest ^ value) * 0x100000001b3u + 1;
}

void *bench_table(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED) {
        bench_fail("no memory for a table");
    }
    run.tables += bytes;
    return table;
}

void bench_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    _exit(1);
}

unsigned bench_cpus(void)
{
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return 2;
    }
    int cpus = CPU_COUNT(&usable);
    return cpus < 2 ? 2 : (unsigned)cpus;
}

/* Read without stdio, which would ask the allocator for a buffer. */
size_t bench_resident_kib(void)
{
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0) {
        bench_fail("cannot read /proc/self/statm");
    }
    close(file);
    char *field = strchr(text, ' ');
    size_t pages = field == NULL ? 0 : strtoul(field, NULL, 10);
    return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void list(const struct workload *workloads, size_t count)
{
    static const char *const measures[] = {"cpu", "throughput", "memory"};
    for (size_t i = 0; i < count; i++) {
        const struct workload *workload = &workloads[i];
        printf("%s %s %" PRIu64 " %" PRIu64 "\n", workload->name,
               measures[workload->measure], workload->amount, workload->quick);
    }
}

static void report(const struct workload *workload)
{
    printf("cpu_seconds %.9f\n", run.cpu);
    printf("wall_seconds %.9f\n", run.wall);
    printf("operations %" PRIu64 "\n", run.operations);
    printf("tables_kib %zu\n", run.tables / 1024);
    if (workload->measure == THROUGHPUT) {
        printf("operations_per_second %.1f\n",
               (double)run.operations / run.wall);
    } else {
        printf("digest %016" PRIx64 "\n", run.digest);
    }
    for (size_t i = 0; i < run.note_count; i++) {
        printf("%s %.6f\n", run.notes[i].key, run.notes[i].value);
    }
}

int bench_main(const struct workload *workloads, size_t count, int argc,
               char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list(workloads, count);
        return 0;
    }
    for (size_t i = 0; argc == 3 && i < count; i++) {
        if (strcmp(argv[1], workloads[i].name) == 0) {
            workloads[i].run(&workloads[i], strtoull(argv[2], NULL, 10));
            report(&workloads[i]);
            return 0;
        }
    }
    fprintf(stderr, "usage: %s --list | NAME AMOUNT\n",
            program_invocation_short_name);
    return 2;
}
