/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The one value that several of our functions return for the same reason. */

/* Memory ran out.  -1 is then free for an error of libvirt. */
#define PV_NO_MEMORY -2
