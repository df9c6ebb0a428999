/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/module.h - exported symbols, which have no effect here. */
#ifndef WITNESS_LINUX_MODULE_H
#define WITNESS_LINUX_MODULE_H

#define EXPORT_SYMBOL_GPL(name) extern const char witness_exports_##name

#endif
