/*
 * child.h - what is fatal, or cannot be undone, happens in a child.
 *
 * The child is made by fork, runs one function and exits with 0. What it
 * writes to standard error is kept. A test that wants an untouched allocator
 * runs its scene in a child of a program that has not used it.
 */
#ifndef CHILD_H
#define CHILD_H

typedef void child_body(void *argument);

struct ending {
    int status; /* as waitpid tells it */
    char words[8192];
};

struct ending child_run(child_body *body, void *argument);

/* Runs the body in a child and fails the test unless it exits with 0. */
void child_must_succeed(child_body *body, void *argument);

/* A row of cmocka's tests: a scene that is played in a child. */
#define unit_test_in_child(scene)                                              \
    (const struct CMUnitTest)                                                  \
    {                                                                          \
#scene, child_play, NULL, NULL, &(struct child_scene)                  \
        {                                                                      \
            scene                                                              \
        }                                                                      \
    }

struct child_scene {
    child_body *play;
};

/* The scene is the test's initial state. */
void child_play(void **state);

/* Fails the test unless the body ends in abort() and its last words are this
 * one line. */
void child_must_abort(child_body *body, void *argument, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed assertion: where in the source is left open. */
void child_must_fail_assertion(child_body *body, void *argument,
                               const char *condition);

#endif
