/*
 * why.h - ptm why: what the memory of a process is for, in words.
 */
#ifndef WHY_H
#define WHY_H

int why(char **words);

#endif
