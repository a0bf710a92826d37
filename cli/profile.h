/*
 * profile.h - ptm profile: starts, stops and writes the profile of a process.
 */
#ifndef PROFILE_H
#define PROFILE_H

int profile(char **words);

#endif
