/*
 * guard - one block of a few stands alone: what the program may do with it is
 * what it may do with any; what it may not do is told, with who had the block;
 * and faults that are not ours take their course.
 *
 * Runs with guard=2 and without caches, so that a guarded block is soon found.
 */
#include <malloc.h>
#include <mcheck.h>
#include <signal.h>
#include <stdint.h>

#include "trial.h"

enum {
    SIZE = 100,
    WORDS = 4096,
};

/* A guarded block has exactly as many bytes as were asked for; no other block
 * has these. */
static unsigned char *guarded_block(void)
{
    for (int i = 0; i < 10000; i++) {
        unsigned char *block = malloc(SIZE);
        if (malloc_usable_size(block) == SIZE) {
            return block;
        }
        free(block);
    }
    MUST(!"a guarded block comes");
    return NULL;
}

/* At the end of its page, or at the start. */
static volatile unsigned char *guarded_block_at(int start)
{
    for (int i = 0; i < 10000; i++) {
        unsigned char *block = guarded_block();
        if (((uintptr_t)block % 4096 == 0) == start) {
            return block;
        }
        free(block);
    }
    MUST(!"blocks lie at both ends");
    return NULL;
}

static void free_it(volatile unsigned char *block)
{
    free((void *)(uintptr_t)block);
}

/* ---- crimes ---------------------------------------------------------------
 */

static void read_behind(void)
{
    (void)guarded_block_at(0)[112];
}

static void write_before(void)
{
    guarded_block_at(1)[-1] = 0;
}

static void read_freed(void)
{
    volatile unsigned char *block = guarded_block();
    free_it(block);
    (void)block[50];
}

static void write_one_behind(void)
{
    volatile unsigned char *block = guarded_block();
    block[SIZE] = 0;
    free_it(block);
}

static void write_one_before(void)
{
    volatile unsigned char *block = guarded_block_at(0);
    block[-1] = 0;
    free_it(block);
}

static void free_twice(void)
{
    volatile unsigned char *block = guarded_block();
    free_it(block);
    free_it(block);
}

static void realloc_freed(void)
{
    volatile unsigned char *block = guarded_block();
    free_it(block);
    MUST(realloc((void *)(uintptr_t)block, 5) != NULL);
}

static void free_inside(void)
{
    free_it(guarded_block() + 16);
}

/* ---- faults of others ------------------------------------------------------
 */

static void write_nowhere(void)
{
    (void)guarded_block();
    volatile char *volatile nowhere = (volatile char *)8;
    *nowhere = 1;
}

static void be_sent_a_fault(void)
{
    (void)guarded_block();
    raise(SIGSEGV);
}

static void leave_with_7(int number)
{
    (void)number;
    _exit(7);
}

static void have_a_handler_already(void)
{
    signal(SIGSEGV, leave_with_7);
    read_freed();
}

static void set_a_handler_later(void)
{
    (void)guarded_block();
    signal(SIGSEGV, leave_with_7);
    read_freed();
}

static void restore_what_was_there(void)
{
    struct sigaction theirs;
    (void)guarded_block();
    MUST(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_IGN},
                   &theirs) == 0);
    MUST(sigaction(SIGSEGV, &theirs, NULL) == 0);
    read_freed();
}

static void fault_on_another_stack(void)
{
    static char stack[1 << 16];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    MUST(sigaltstack(&other, NULL) == 0);
    read_freed();
}

static void crime_of_a_child_of_fork(void)
{
    volatile unsigned char *block = guarded_block();
    pid_t child = fork();
    int status;
    if (child == 0) {
        free_it(block);
        (void)block[0];
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child);
    block[1] = 1; /* still the parent's */
    free_it(block);
    MUST(WIFSIGNALED(status));
    raise(WTERMSIG(status));
}

/* ---- judging ---------------------------------------------------------------
 */

struct ending {
    int status;
    char words[WORDS];
};

static struct ending end_of(void (*crime)(void))
{
    struct ending ending = {0};
    int ends[2];
    size_t length = 0;
    ssize_t got;
    MUST(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        MUST(dup2(ends[1], 2) == 2);
        crime();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], ending.words + length, WORDS - 1 - length)) >
           0) {
        length += (size_t)got;
    }
    close(ends[0]);
    MUST(waitpid(child, &ending.status, 0) == child);
    return ending;
}

static void must_be_told(void (*crime)(void), const char *line, int with_free)
{
    struct ending ending = end_of(crime);
    if (strstr(ending.words, line) == NULL) {
        dprintf(2, "'%s' instead of '%s'\n", ending.words, line);
    }
    MUST(strstr(ending.words, line) != NULL);
    MUST(WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGABRT);
    MUST(strstr(ending.words, "ptm: allocated by 0x") != NULL);
    MUST((strstr(ending.words, "ptm: freed by 0x") != NULL) == with_free);
}

static void must_end_by(void (*crime)(void), int number)
{
    struct ending ending = end_of(crime);
    MUST(WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == number);
    MUST(strcmp(ending.words, "") == 0);
}

static void must_leave_with_7(void (*crime)(void))
{
    struct ending ending = end_of(crime);
    MUST(WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == 7);
}

/* ---- lawful use ------------------------------------------------------------
 */

static void use_is_like_any_other(void)
{
    for (int i = 0; i < 2000; i++) {
        size_t size = (size_t)i * 7 % 5000 + 1;
        unsigned char *block = i % 2 == 0 ? malloc(size) : calloc(1, size);
        MUST(block != NULL && (uintptr_t)block % 16 == 0);
        for (size_t at = 0; i % 2 == 1 && at < size; at++) {
            MUST(block[at] == 0);
        }
        memset(block, i, malloc_usable_size(block));
        size_t kept = malloc_usable_size(block);
        block = realloc(block, size + 50);
        MUST(block != NULL);
        for (size_t at = 0; at < kept && at < size + 50; at++) {
            MUST(block[at] == (unsigned char)i);
        }
        free(block);
    }
}

/* More than there are slots for. */
static void all_may_be_alive(void)
{
    enum { BLOCKS = 1000 };
    static unsigned char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], i, SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) {
        MUST(blocks[i][0] == (unsigned char)i);
        MUST(blocks[i][SIZE - 1] == (unsigned char)i);
        free(blocks[i]);
    }
}

static int count_block(void *memory, size_t size, void *wanted)
{
    const void **block = wanted;
    if (memory == *block) {
        MUST(size == SIZE);
        *block = NULL;
    }
    return 0;
}

static void who_looks_at_blocks_sees_it(void)
{
    unsigned char *block = guarded_block();
    const void *wanted = block;
    MUST(mcheck(NULL) == 0);
    MUST(mprobe(block) == MCHECK_OK);
    MUST(ptm_malloc_size(block) == SIZE);
    MUST(ptm_malloc_size(block + 16) == 0);
    MUST(ptm_visit(count_block, &wanted) == 0 && wanted == NULL);
    free(block);
    wanted = block;
    MUST(mprobe(block) == MCHECK_FREE);
    MUST(ptm_malloc_size(block) == 0);
    MUST(ptm_visit(count_block, &wanted) == 0 && wanted == block);
}

int main(void)
{
    trial_watch();
    must_leave_with_7(have_a_handler_already);
    trial_malloc_must_be_ptm();
    use_is_like_any_other();
    all_may_be_alive();
    who_looks_at_blocks_sees_it();
    must_be_told(read_behind, "ptm: guard: access behind the block: ", 0);
    must_be_told(write_before, "ptm: guard: access before the block: ", 0);
    must_be_told(read_freed, "ptm: guard: use of a freed block: ", 1);
    must_be_told(write_one_behind,
                 "ptm: free(): bytes after the block overwritten: ", 0);
    must_be_told(write_one_before,
                 "ptm: free(): bytes before the block overwritten: ", 0);
    must_be_told(free_twice, "ptm: free(): double free: ", 1);
    must_be_told(realloc_freed, "ptm: realloc(): use of a freed block: ", 1);
    must_be_told(restore_what_was_there,
                 "ptm: guard: use of a freed block: ", 1);
    must_be_told(fault_on_another_stack,
                 "ptm: guard: use of a freed block: ", 1);
    must_be_told(crime_of_a_child_of_fork,
                 "ptm: guard: use of a freed block: ", 1);
    struct ending ending = end_of(free_inside);
    MUST(strstr(ending.words, "not a block of malloc") != NULL);
    must_end_by(write_nowhere, SIGSEGV);
    must_end_by(be_sent_a_fault, SIGSEGV);
    must_leave_with_7(set_a_handler_later);
    return 0;
}
