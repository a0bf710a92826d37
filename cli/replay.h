/*
 * replay.h - ptm replay: does again what a trace says.
 */
#ifndef REPLAY_H
#define REPLAY_H

int replay(char **words);

#endif
