/*
 * top.h - ptm top: the processes under ptm, again and again.
 */
#ifndef TOP_H
#define TOP_H

int top(char **words);

#endif
