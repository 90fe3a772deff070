/* The database's password in a file of its own, as container engines and systemd hand secrets over. */
#pragma once

/* Makes what the file holds (but for a newline at its end) the password of each connection whose URL has none. It is left
 * where libpq looks for it, in the environment of this process (PGPASSWORD): call it once, before there are threads.
 * NULL, or what is wrong with the file. */
const char *db_password_read(const char *path);
