/*
 * run.h - ptm run: a command under ptm.
 *
 * Without options the tool becomes the command. What is to be said at its end
 * (--account, --leaks) another process has to say: the tool stays, traces the
 * command's first thread and no system call of it, and reads its memory when
 * that thread is about to end, however it ends. Signals go through. What is
 * done while it runs (--check) is libptm-watch.so's (watcher.c).
 */
#ifndef RUN_H
#define RUN_H

int run(char **words);

#endif
