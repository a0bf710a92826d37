/*
 * map.h - ptm map: the heaps of a process as a picture.
 */
#ifndef MAP_H
#define MAP_H

int map(char **words);

#endif
