/*
 * fork_signal.c - fork in a signal handler that interrupted malloc.
 *
 * A timer interrupts a loop of malloc and free; its handler forks. The fork
 * must not wait for a lock that the interrupted malloc holds. The children do
 * no more than POSIX lets them: some leave at once, the others return from the
 * handler, and so finish the malloc that was interrupted and go on allocating.
 * Played in a program with one thread, and in one whose other threads allocate
 * as well.
 */
#include "hammer.h"
#include "trial.h"

#include <sys/prctl.h>
#include <sys/time.h>

enum { FORKS_WANTED = 600, LONGEST_PAUSE_MICROSECONDS = 400 };

static volatile sig_atomic_t forks_done;
static volatile sig_atomic_t children_that_succeeded;
static volatile sig_atomic_t this_is_a_child;

/*
 * One interruption, after a pause that differs from the last, so that malloc is
 * hit in ever new places. ITIMER_REAL and alarm are one timer and one signal:
 * here SIGALRM interrupts, and the watchdog is the process that waits for this
 * one.
 */
static void arm_timer(void)
{
    int pause = 1 + forks_done * 37 % LONGEST_PAUSE_MICROSECONDS;
    const struct itimerval once = {.it_value = {0, pause}};

    MUST(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void fork_in_handler(int signal_number)
{
    int saved_errno = errno;
    int status;
    pid_t child;

    (void)signal_number;
    if (this_is_a_child || forks_done >= FORKS_WANTED)
        return;
    child = fork();
    MUST(child >= 0);
    if (child == 0) {
        this_is_a_child = 1;
        trial_watch();
        if (forks_done % 2 == 0)
            _exit(0);
        errno = saved_errno;
        return;
    }
    forks_done++;
    while (waitpid(child, &status, 0) != child)
        MUST(errno == EINTR);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    children_that_succeeded++;
    arm_timer();
    errno = saved_errno;
}

/* The interrupted malloc is over; now everything must still work. */
static void finish_as_child(void)
{
    hammer_some(300);
    MUST(ptm_check() == 0);
    hammer_some_in_threads(2, 100);
    hammer_free_shelves();
    MUST(ptm_check() == 0);
    _exit(0);
}

static void be_interrupted(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler,
                               .sa_flags = SA_RESTART};

    forks_done = children_that_succeeded = 0;
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    arm_timer();
    while (forks_done < FORKS_WANTED) {
        hammer_some(20);
        if (this_is_a_child)
            finish_as_child();
    }
    MUST(children_that_succeeded == FORKS_WANTED);
    MUST(ptm_check() == 0);
}

static void play_alone(void)
{
    be_interrupted();
    _exit(0);
}

/* The signal goes to any thread of the process, so to one that hammers as
   well: those must not take it, or nobody would know what to finish. */
static void play_among_threads(void)
{
    sigset_t timer_signal;

    sigemptyset(&timer_signal);
    sigaddset(&timer_signal, SIGALRM);
    MUST(sigprocmask(SIG_BLOCK, &timer_signal, NULL) == 0);
    hammer_start(3);
    MUST(sigprocmask(SIG_UNBLOCK, &timer_signal, NULL) == 0);
    be_interrupted();
    hammer_stop();
    MUST(ptm_check() == 0);
    _exit(0);
}

static void play(void (*part)(void))
{
    pid_t player;

    trial_watch_for(2 * TRIAL_WATCHDOG_SECONDS);
    player = fork();
    if (player == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        part();
    }
    trial_child_must_succeed(player);
}

int main(void)
{
    trial_malloc_must_be_ptm();
    play(play_alone);
    play(play_among_threads);
    return 0;
}
