/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/module.h - there are no modules to export to. */
#ifndef WITNESS_LINUX_MODULE_H
#define WITNESS_LINUX_MODULE_H

#define EXPORT_SYMBOL_GPL(name) extern const char witness_exports_##name

#endif
