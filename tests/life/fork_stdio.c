/*
 * fork_stdio.c - fork, malloc and stdio take their locks in an order that
 * cannot deadlock.
 *
 * getline allocates while it holds the lock of its FILE; fflush(NULL) holds
 * the lock of the list of all FILEs while it waits for each; fopen and fclose
 * allocate and free around that same lock; and fork wants the list's lock
 * while it makes malloc ready. An allocator that keeps a lock of its own while
 * fork waits for stdio closes that circle.
 */
#include "hammer.h"
#include "trial.h"

#include <pthread.h>

enum { FORKS = 400, LINE_LENGTH = 4000 };

static atomic_bool stop;
static atomic_int lines_read;
static int pipe_ends[2];

/* Libc's locks are not fair: who takes one again at once keeps it from others,
 * fork among them, for as long as chance has it. */
static void let_others_have_the_lock(void)
{
    usleep(200);
}

/* Each line is longer than getline's first buffer, so that it reallocs. */
static void *feed_lines(void *unused)
{
    static char line[LINE_LENGTH];

    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    while (!atomic_load(&stop)) {
        MUST(write(pipe_ends[1], line, sizeof line) == (ssize_t)sizeof line);
        usleep(200);
    }
    close(pipe_ends[1]);
    return unused;
}

/* Waits in getline, the lock of the FILE held, until the pipe is closed. */
static void *read_lines(void *unused)
{
    FILE *stream = fdopen(pipe_ends[0], "r");

    MUST(stream != NULL);
    for (;;) {
        char *line = NULL;
        size_t capacity = 0;
        ssize_t length = getline(&line, &capacity, stream);

        MUST(length == LINE_LENGTH || length == -1);
        free(line);
        if (length == -1)
            break;
        atomic_fetch_add(&lines_read, 1);
        let_others_have_the_lock();
    }
    fclose(stream);
    return unused;
}

static void *flush_everything(void *unused)
{
    while (!atomic_load(&stop)) {
        MUST(fflush(NULL) == 0);
        let_others_have_the_lock();
    }
    return unused;
}

static void *open_and_close(void *unused)
{
    while (!atomic_load(&stop)) {
        FILE *stream = fopen("/dev/null", "w");

        MUST(stream != NULL);
        MUST(fputs("line\n", stream) >= 0);
        MUST(fclose(stream) == 0);
        let_others_have_the_lock();
    }
    return unused;
}

static void be_a_child(void)
{
    FILE *stream;

    trial_watch();
    hammer_some(50);
    stream = fopen("/dev/null", "w");
    MUST(stream != NULL);
    MUST(fputs("line\n", stream) >= 0);
    MUST(fclose(stream) == 0);
    MUST(ptm_check() == 0);
    _exit(0);
}

static void fork_many(int forks)
{
    for (int i = 0; i < forks; i++) {
        pid_t child;

        trial_watch();
        child = fork();
        if (child == 0)
            be_a_child();
        trial_child_must_succeed(child);
    }
}

static void start(pthread_t *thread, void *(*body)(void *))
{
    MUST(pthread_create(thread, NULL, body, NULL) == 0);
}

/* Lines keep coming, so getline never holds up fflush(NULL) for long. */
static void fork_among_stdio_threads(void)
{
    pthread_t threads[5];

    MUST(pipe(pipe_ends) == 0);
    start(&threads[0], feed_lines);
    start(&threads[1], read_lines);
    start(&threads[2], flush_everything);
    start(&threads[3], open_and_close);
    start(&threads[4], open_and_close);
    hammer_start(2);
    fork_many(FORKS);
    atomic_store(&stop, true);
    for (int i = 0; i < 5; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    hammer_stop();
    MUST(atomic_load(&lines_read) > 0);
}

/* No line comes: the FILE stays locked through all the forks. */
static void fork_while_getline_blocks(void)
{
    pthread_t reader;

    MUST(pipe(pipe_ends) == 0);
    start(&reader, read_lines);
    hammer_start(2);
    fork_many(FORKS / 5);
    hammer_stop();
    close(pipe_ends[1]);
    MUST(pthread_join(reader, NULL) == 0);
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    fork_while_getline_blocks();
    fork_among_stdio_threads();
    MUST(ptm_check() == 0);
    return 0;
}
