/*
 * Scope-bound cleanup.  A variable declared with one of these macros is released when its scope
 * ends, on every path.  Each cleanup keeps errno and accepts the empty value (NULL, -1), so a
 * resource is handed on by setting the variable to its empty value.  Never mix with goto.
 */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define AUTO(fn) __attribute__((cleanup(fn)))

#define AUTO_FD AUTO(auto_close_fd)
#define AUTO_FREE AUTO(auto_free)
#define AUTO_FILE AUTO(auto_fclose)
#define AUTO_DIR AUTO(auto_closedir)

/* For int variables: closes the descriptor unless it is negative. */
void auto_close_fd(int *fd);
/* For any pointer variable that holds memory from malloc: frees it. */
void auto_free(void *pointer_to_pointer);
/* For FILE * variables. */
void auto_fclose(FILE **f);
/* For DIR * variables. */
void auto_closedir(DIR **d);

/* Returns *fd and leaves -1 behind: the caller of a function takes the descriptor over. */
int take_fd(int *fd);

#endif
