/*
 * record.h - ptm record: runs a command and keeps what it allocated.
 */
#ifndef RECORD_H
#define RECORD_H

int record(char **words);

#endif
