/*
 * Where the database lies: whether this user may write the folder, and what is in it. A file that belongs to
 * somebody else, since root once started the daemon or copied a backup there, is found before SQLite stumbles
 * over it.
 */
#ifndef BIFURCATED_STORE_PLACE_H
#define BIFURCATED_STORE_PLACE_H

#include "daemon/base/err.h"

/* The folder and its lock: enough for whoever puts a database there. ERR_IO says whose it is, and what to do.
 * What is not there yet is no error. */
int place_check_folder(const char *database_path, struct err *err);

/* The same, and the database with its log. */
int place_check(const char *database_path, struct err *err);

#endif
