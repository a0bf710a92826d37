/*
 * count - counts the instructions between two breakpoints of another program.
 *
 *   count LIBRARY PROGRAM [ARGUMENT]    PROGRAM, with LIBRARY preloaded
 *
 * prints for each path (paths.h) a line: name, operations, and per operation
 * beyond an empty call the instructions, those that touch memory, the atomic
 * ones and the system calls; then the most instructions of a single one.
 *
 *   1. The tracee runs at full speed up to a breakpoint, where rbx names the
 *      path. From there it is single-stepped (ptrace) up to the next one.
 *   2. Before each step the instruction at rip is looked at: is it atomic,
 *      does it touch memory, is it a system call? Once only, as code does not
 *      change; the answer is kept in a table by address.
 *   3. A string instruction with a repeat prefix traps after each repetition
 *      without leaving its address: it counts once.
 *   4. Where the tracee lies in memory is the same in each run.
 *   5. Both are on one CPU while one waits for the other, which is faster;
 *      otherwise the tracee has all CPUs, as allocators look at that.
 *
 * Memory is touched by an operand in memory or by the stack (push, pop, call,
 * return); an instruction that reads and writes counts once. Atomic is what
 * has a lock prefix, and xchg with memory, which needs none. Instructions of
 * the kernel are not seen. A known function in the tracee proves all of that
 * in each run: a wrong count there is an error.
 */
#define _GNU_SOURCE
#include "paths.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const path_names[PATHS] = {
    [PATH_EMPTY] = "empty",
    [PATH_KNOWN] = "known",
    [PATH_MALLOC_16] = "malloc-16",
    [PATH_FREE_16] = "free-16",
    [PATH_MALLOC_100] = "malloc-100",
    [PATH_FREE_100] = "free-100",
    [PATH_MALLOC_1000] = "malloc-1000",
    [PATH_FREE_1000] = "free-1000",
    [PATH_MALLOC_100000] = "malloc-100000",
    [PATH_FREE_100000] = "free-100000",
    [PATH_CALLOC_100] = "calloc-100",
    [PATH_REALLOC_IN_PLACE] = "realloc-in-place",
    [PATH_REALLOC_GROWING] = "realloc-growing",
    [PATH_MALLOC_RANDOM] = "malloc-random",
    [PATH_FREE_RANDOM] = "free-random",
    [PATH_MALLOC_FRESH] = "malloc-fresh",
    [PATH_MALLOC_MISS] = "malloc-miss",
    [PATH_FREE_OVERFLOW] = "free-overflow",
    [PATH_MALLOC_RANDOM_THREADS] = "malloc-random-threads",
    [PATH_FREE_RANDOM_THREADS] = "free-random-threads",
    [PATH_MALLOC_STREAM_64] = "malloc-stream-64",
    [PATH_FREE_STREAM_64] = "free-stream-64",
    [PATH_MALLOC_STREAM_MIXED] = "malloc-stream-mixed",
    [PATH_FREE_STREAM_MIXED] = "free-stream-mixed",
    [PATH_MALLOC_STREAM_PURE] = "malloc-stream-pure",
    [PATH_FREE_STREAM_PURE] = "free-stream-pure",
};

/* ------------------------------------------------------------------------
 * What an instruction is. */

enum traits {
    SEEN = 1,
    TOUCHES_MEMORY = 2,
    IS_ATOMIC = 4,
    IS_SYSTEM_CALL = 8,
    IS_BREAKPOINT = 16,
};

enum { LONGEST_INSTRUCTION = 15 };

static bool is_prefix(uint8_t byte)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};
    return memchr(prefixes, byte, sizeof prefixes) != NULL;
}

/* Of the ModRM byte: 3 in the upper bits is a register. */
static bool names_memory(uint8_t operand)
{
    return operand >> 6 != 3;
}

static bool has_operand(uint8_t opcode)
{
    if (opcode < 0x40) {
        return (opcode & 7) < 4;
    }
    return (opcode >= 0x80 && opcode <= 0x8f) || opcode == 0x63 ||
           opcode == 0x69 || opcode == 0x6b ||
           (opcode >= 0xc0 && opcode <= 0xc7 && opcode != 0xc2 &&
            opcode != 0xc3) ||
           (opcode >= 0xd0 && opcode <= 0xd3) ||
           (opcode >= 0xd8 && opcode <= 0xdf) || opcode == 0xf6 ||
           opcode == 0xf7 || opcode == 0xfe || opcode == 0xff;
}

/* Push, pop, call, return, leave; string instructions; an absolute move. */
static bool touches_memory_unnamed(uint8_t opcode)
{
    static const uint8_t others[] = {0x68, 0x6a, 0x9c, 0x9d, 0xc2, 0xc3,
                                     0xc8, 0xc9, 0xd7, 0xe8, 0xaa, 0xab,
                                     0xac, 0xad, 0xae, 0xaf};
    return (opcode >= 0x50 && opcode <= 0x5f) ||
           (opcode >= 0xa0 && opcode <= 0xa7) ||
           memchr(others, opcode, sizeof others) != NULL;
}

static unsigned traits_of_short(const uint8_t *at, bool is_locked)
{
    uint8_t opcode = at[0], operand = at[1];
    if (opcode == 0xcc) {
        return IS_BREAKPOINT;
    }
    unsigned traits = is_locked ? IS_ATOMIC : 0;
    bool touches = touches_memory_unnamed(opcode);
    if (has_operand(opcode) && opcode != 0x8d) {
        touches |= names_memory(operand);
        /* call and push by an operand use the stack besides */
        touches |= opcode == 0xff &&
                   ((operand >> 3 & 7) == 2 || (operand >> 3 & 7) == 6);
    }
    bool is_exchange = opcode == 0x86 || opcode == 0x87;
    if (is_exchange && names_memory(operand)) {
        traits |= IS_ATOMIC;
    }
    return traits | (touches ? TOUCHES_MEMORY : 0);
}

static bool has_long_operand(uint8_t opcode)
{
    static const uint8_t none[] = {0x06, 0x08, 0x09, 0x0b, 0x77, 0xa2, 0xaa};
    return memchr(none, opcode, sizeof none) == NULL &&
           (opcode & 0xf8) != 0x30 && (opcode & 0xf0) != 0x80 &&
           (opcode & 0xf8) != 0xc8;
}

/* Opcodes after 0f. Prefetches and long nops have an address and leave it
 * alone; 38 and 3a are escapes to tables of more. */
static unsigned traits_of_long(const uint8_t *at, bool is_locked)
{
    uint8_t opcode = at[0], operand = at[1];
    if (opcode == 0x05) {
        return IS_SYSTEM_CALL;
    }
    unsigned traits = is_locked ? IS_ATOMIC : 0;
    if (opcode == 0x38 || opcode == 0x3a) {
        return traits | (names_memory(at[2]) ? TOUCHES_MEMORY : 0);
    }
    if ((opcode & 0xf6) == 0xa0) { /* push and pop of fs and gs */
        return traits | TOUCHES_MEMORY;
    }
    bool is_hint = opcode == 0x0d || (opcode >= 0x18 && opcode <= 0x1f);
    if (has_long_operand(opcode) && !is_hint && names_memory(operand)) {
        traits |= TOUCHES_MEMORY;
    }
    return traits;
}

/* `at`: past a vex or evex prefix, which stands for 0f and its escapes. */
static unsigned traits_of_vector(const uint8_t *at)
{
    bool is_vzeroupper = at[0] == 0x77;
    return !is_vzeroupper && names_memory(at[1]) ? TOUCHES_MEMORY : 0;
}

static unsigned traits_of(const uint8_t *at)
{
    bool is_locked = false;
    while (is_prefix(*at)) {
        is_locked |= *at++ == 0xf0;
    }
    if (*at >> 4 == 4) { /* rex */
        at++;
    }
    switch (at[0]) {
    case 0x0f:
        return traits_of_long(at + 1, is_locked);
    case 0xc5:
        return traits_of_vector(at + 2);
    case 0xc4:
        return traits_of_vector(at + 3);
    case 0x62:
        return traits_of_vector(at + 4);
    default:
        return traits_of_short(at, is_locked);
    }
}

/* ------------------------------------------------------------------------
 * The tracee. */

enum { TABLE = 1 << 16 }; /* a power of two above all instructions ever seen */

static struct {
    cpu_set_t all; /* CPUs */
    cpu_set_t own; /* the tracer's */
    pid_t process;
    int memory; /* /proc/PROCESS/mem */
    struct {
        uint64_t address;
        unsigned traits;
    } table[TABLE];
    size_t known;
} tracee;

struct tally {
    uint64_t operations;
    uint64_t instructions, memory, atomics, system_calls;
    uint64_t most; /* instructions of one operation */
};

static struct tally tallies[PATHS];

static void require(bool condition, const char *what)
{
    if (!condition) {
        error(1, errno, "%s", what);
    }
}

static unsigned read_traits(uint64_t address)
{
    uint8_t bytes[LONGEST_INSTRUCTION + 1] = {0};
    require(pread(tracee.memory, bytes, LONGEST_INSTRUCTION, (off_t)address) >
                0,
            "cannot read the tracee");
    return SEEN | traits_of(bytes);
}

static unsigned traits_at(uint64_t address)
{
    size_t place = (address * 0x9e3779b97f4a7c15u) >> 48;
    while (tracee.table[place].traits != 0) {
        if (tracee.table[place].address == address) {
            return tracee.table[place].traits;
        }
        place = (place + 1) % TABLE;
    }
    require(tracee.known++ < TABLE / 2, "too many different instructions");
    tracee.table[place].address = address;
    return tracee.table[place].traits = read_traits(address);
}

/* Asking for one register is cheaper than for all. */
static uint64_t register_of(pid_t thread, size_t offset)
{
    errno = 0;
    long value = ptrace(PTRACE_PEEKUSER, thread, offset, NULL);
    require(errno == 0, "cannot read a register");
    return (uint64_t)value;
}

static uint64_t rip_of(pid_t thread)
{
    return register_of(thread, offsetof(struct user_regs_struct, rip));
}

static void go_on(pid_t thread, int signal)
{
    require(ptrace(PTRACE_CONT, thread, NULL, (long)signal) == 0,
            "cannot continue the tracee");
}

static void step(pid_t thread)
{
    int status;
    require(ptrace(PTRACE_SINGLESTEP, thread, NULL, NULL) == 0,
            "cannot step the tracee");
    require(waitpid(thread, &status, __WALL) == thread, "cannot wait");
    errno = 0;
    require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP,
            "the tracee got a signal while it was stepped");
}

static void note(struct tally *tally, unsigned traits)
{
    tally->instructions++;
    tally->memory += (traits & TOUCHES_MEMORY) != 0;
    tally->atomics += (traits & IS_ATOMIC) != 0;
    tally->system_calls += (traits & IS_SYSTEM_CALL) != 0;
}

/* From behind one breakpoint to behind the next. */
static void count_operation(pid_t thread)
{
    uint64_t path = register_of(thread, offsetof(struct user_regs_struct, rbx));
    errno = 0;
    require(path < PATHS, "a breakpoint that is not paths.c's");
    struct tally *tally = &tallies[path];
    uint64_t before = tally->instructions, last = 0;
    uint64_t at = rip_of(thread);
    unsigned traits = traits_at(at);
    while ((traits & IS_BREAKPOINT) == 0) {
        if (at != last) {
            note(tally, traits);
        }
        last = at;
        step(thread);
        at = rip_of(thread);
        traits = traits_at(at);
    }
    uint64_t own = tally->instructions - before;
    tally->most = own > tally->most ? own : tally->most;
    tally->operations++;
    require(ptrace(PTRACE_POKEUSER, thread,
                   offsetof(struct user_regs_struct, rip), at + 1) == 0,
            "cannot move the tracee");
    sched_setaffinity(thread, sizeof tracee.all, &tracee.all);
}

/* ------------------------------------------------------------------------
 * The whole run. */

static void become_tracee(const char *library, char **command)
{
    require(personality(ADDR_NO_RANDOMIZE) != -1, "cannot fix addresses");
    require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "cannot be traced");
    setenv("LD_PRELOAD", library, 1);
    setenv("LD_BIND_NOW", "1", 1); /* or first calls would have the linker's */
    execv(command[0], command);
    error(1, errno, "%s", command[0]);
}

/* Only for speed, so it may fail. */
static void choose_cpus(void)
{
    sched_getaffinity(0, sizeof tracee.all, &tracee.all);
    CPU_ZERO(&tracee.own);
    CPU_SET((size_t)sched_getcpu(), &tracee.own);
    sched_setaffinity(0, sizeof tracee.own, &tracee.own);
}

static void start_tracee(const char *library, char **command)
{
    tracee.process = fork();
    require(tracee.process >= 0, "cannot fork");
    if (tracee.process == 0) {
        become_tracee(library, command);
    }
    int status;
    require(waitpid(tracee.process, &status, 0) == tracee.process &&
                WIFSTOPPED(status),
            "cannot start the tracee");
    require(ptrace(PTRACE_SETOPTIONS, tracee.process, NULL,
                   (long)(PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) == 0,
            "cannot trace threads");
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)tracee.process);
    tracee.memory = open(path, O_RDONLY | O_CLOEXEC);
    require(tracee.memory >= 0, path);
    go_on(tracee.process, 0);
}

/* Besides breakpoints there are the stops of ptrace itself: a thread that
 * starts another one, and the first stop of that. */
static void handle_stop(pid_t thread, int status)
{
    int signal = WSTOPSIG(status);
    bool is_event = status >> 16 != 0;
    if (signal == SIGTRAP && !is_event) {
        count_operation(thread);
    }
    go_on(thread, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
}

static void follow_tracee(void)
{
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        require(thread > 0, "cannot wait for the tracee");
        if (WIFSTOPPED(status)) {
            handle_stop(thread, status);
        } else if (thread == tracee.process) {
            errno = 0;
            require(!WIFSIGNALED(status), "a signal ended the tracee");
            require(WEXITSTATUS(status) == 0, "the tracee failed");
            return;
        }
    }
}

static void take_off_empty_calls(void)
{
    struct tally empty = tallies[PATH_EMPTY];
    require(empty.operations == 1, "the tracee has no empty call");
    for (size_t i = 0; i < PATHS; i++) {
        struct tally *tally = &tallies[i];
        require(tally->operations != 0, path_names[i]);
        tally->instructions -= tally->operations * empty.instructions;
        tally->memory -= tally->operations * empty.memory;
        tally->most -= empty.instructions;
    }
}

static void prove_counts(void)
{
    const struct tally *known = &tallies[PATH_KNOWN];
    if (known->instructions != KNOWN_INSTRUCTIONS ||
        known->memory != KNOWN_MEMORY || known->atomics != KNOWN_ATOMICS) {
        error(1, 0,
              "counted %" PRIu64 " instructions, %" PRIu64
              " with memory, %" PRIu64 " atomic of %d, %d, %d",
              known->instructions, known->memory, known->atomics,
              KNOWN_INSTRUCTIONS, KNOWN_MEMORY, KNOWN_ATOMICS);
    }
}

static void print_tallies(void)
{
    for (size_t i = PATH_KNOWN + 1; i < PATHS; i++) {
        const struct tally *tally = &tallies[i];
        double operations = (double)tally->operations;
        printf("%s %" PRIu64 " %.3f %.3f %.4f %.4f %" PRIu64 "\n",
               path_names[i], tally->operations,
               (double)tally->instructions / operations,
               (double)tally->memory / operations,
               (double)tally->atomics / operations,
               (double)tally->system_calls / operations, tally->most);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        error(2, 0, "usage: count LIBRARY PROGRAM [ARGUMENT]");
    }
    start_tracee(argv[1], &argv[2]);
    choose_cpus();
    follow_tracee();
    take_off_empty_calls();
    prove_counts();
    print_tallies();
    return 0;
}
