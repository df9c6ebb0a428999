// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_head.c - the text before an event's name: task, CPU and time, in each
 * form that recorders print.
 */
#include "recorded.h"
#include "trace/head.h"

static struct trace_prefix prefix;

static const char *show(const struct trace_head *head)
{
	return print("%.*s/%d cpu %d at %lld",
		     (int)(head->task.end - head->task.at), head->task.at,
		     (int)head->pid,
		     head->cpu == PCPU_NO_CPU ? -1 : (int)head->cpu,
		     (long long)head->time);
}

/* what a head says, as "TASK/PID cpu CPU at NANOSECONDS"; -1: unknown */
static const char *head(const char *text)
{
	struct trace_head head;

	memset(&prefix, 0, sizeof(prefix));
	trace_head_parse((struct span){ text, text + strlen(text) }, &prefix,
			 &head);
	return show(&head);
}

TEST(ftrace_prints_task_cpu_flags_and_seconds)
{
	CHECK(same(head("            bash-2090    [000] .....   522.635392: "),
		   "bash/2090 cpu 0 at 522635392000"));
	CHECK(same(head("  ftr.sh-24673   [013] d.s1.   626.021251: "),
		   "ftr.sh/24673 cpu 13 at 626021251000"));
	CHECK(same(head("x-1 [000] 1.0:"), "x/1 cpu 0 at 1000000000"));
	/* without flags, as trace-cmd does by default */
	CHECK(same(head("              sh-101   [003]   924.758057: "),
		   "sh/101 cpu 3 at 924758057000"));
}

TEST(ftrace_prints_the_thread_group)
{
	CHECK(same(head("    bash-2090    (   2089) [001] .....   522.1: "),
		   "bash/2090 cpu 1 at 522100000000"));
	CHECK(same(head("    bash-2090    (-------) [001] .....   522.1: "),
		   "bash/2090 cpu 1 at 522100000000"));
	CHECK(same(head("    bash-2090    (2089) [001]   522.1: "),
		   "bash/2090 cpu 1 at 522100000000"));
	/* a parenthesis that nothing opens is no thread group */
	CHECK(same(head("bash-2090 2089) [001] 522.1: "),
		   "/0 cpu 1 at 522100000000"));
}

TEST(perf_script_prints_task_and_pid_as_words)
{
	CHECK(same(head("       perf-exec 12683 [000]  1963.707902:      "),
		   "perf-exec/12683 cpu 0 at 1963707902000"));
	CHECK(same(head("  wl2.sh 12685/12686 [001]  1963.708252019:  "),
		   "wl2.sh/12686 cpu 1 at 1963708252019"));
	CHECK(same(head("x 1 5.5: "), "x/1 cpu -1 at 5500000000"));
	CHECK(same(head("a-1 b 2 5.5: "), "a-1 b/2 cpu -1 at 5500000000"));
	/* -F +period */
	CHECK(same(head("x 1 [000] 5.5:    1 "), "x/1 cpu 0 at 5500000000"));
	CHECK(same(head("x 1 [000] 5.5:    1x "), "/0 cpu -1 at -1"));
	CHECK(same(head("x 1 [000] 5.5:    x1 "), "/0 cpu -1 at -1"));
	CHECK(same(head("x 1 [000] 5.5    1 "), "/0 cpu -1 at -1"));
	/* trace-cmd report --ts-diff */
	CHECK(same(head("x-1 [000] 5.5: (+17)  "), "x/1 cpu 0 at 5500000000"));
	CHECK(same(head("x-1 [000] 5.5: (+)  "), "/0 cpu -1 at -1"));
	CHECK(same(head("x-1 [000] 5.5: (17)  "), "/0 cpu -1 at -1"));
	CHECK(same(head("x-1 [000] 5.5: (+17  "), "/0 cpu -1 at -1"));
	/* -F without time */
	CHECK(same(head("x 1 [000] "), "/0 cpu -1 at -1"));
}

TEST(perf_trace_prints_milliseconds_first)
{
	CHECK(same(head("     0.653 sh/2450 "), "sh/2450 cpu -1 at 653000"));
	CHECK(same(head("     0.000 :2545/2545 "), ":2545/2545 cpu -1 at 0"));
	CHECK(same(head("12345.678 kworker/0:1/23 "),
		   "kworker/0:1/23 cpu -1 at 12345678000"));
	CHECK(same(head("1.123456 a b/7 "), "a b/7 cpu -1 at 1123456"));
	CHECK(same(head("0.5 CPU 1/7 "), "CPU 1/7 cpu -1 at 500000"));
	CHECK(same(head("0.5 x/7x "), "/0 cpu -1 at 500000"));
	CHECK(same(head("0.5 x/4294967296 "), "/0 cpu -1 at 500000"));
	CHECK(same(head("0.5 a name of sixteen bytes/7 "),
		   "bytes/7 cpu -1 at 500000"));
	/* with system calls */
	CHECK(same(head("  0.040 (         ): sh/7 "), "sh/7 cpu -1 at 40000"));
	CHECK(same(head("0.040 ( 0.004 ms): sh/7 "), "sh/7 cpu -1 at 40000"));
	CHECK(same(head("0.040 (sd-pam)/7 "), "(sd-pam)/7 cpu -1 at 40000"));
	CHECK(same(head("1.5"), "/0 cpu -1 at 1500000"));
	CHECK(same(head("0.5 a 7 "), "a/7 cpu -1 at 500000"));
	/* no more than nanoseconds, no whole numbers */
	CHECK(same(head("1.1234567 sh/7 "), "/0 cpu -1 at -1"));
	CHECK(same(head("1 sh/7 "), "/0 cpu -1 at -1"));
	CHECK(same(head("x 1.5 sh/7 "), "/0 cpu -1 at -1"));
}

TEST(perf_prints_process_and_thread)
{
	CHECK(same(head("sh 2450/2451 [001] 1.5: "),
		   "sh/2451 cpu 1 at 1500000000"));
	/* -F pid,tid has no names */
	CHECK(same(head("2450/2451 [001] 1.5: "), "/2451 cpu 1 at 1500000000"));
	/* in perf trace a name of digits only is a name */
	CHECK(same(head("0.5 2450/2451 "), "2450/2451 cpu -1 at 500000"));
	CHECK(same(head("0.5 sh2450/2451 "), "sh2450/2451 cpu -1 at 500000"));
}

/* the letters after the CPU's number are flags */
TEST(latency_format_prints_cpu_and_flags_in_one_word)
{
	CHECK(same(head("  worker-101     3.....   123us : "),
		   "worker/101 cpu 3 at 123000"));
	CHECK(same(head("  worker-101     3d..1.   123us+: "),
		   "worker/101 cpu 3 at 123000"));
	CHECK(same(head("  worker-101     12.....  0us!: "),
		   "worker/101 cpu 12 at 0"));
	for (const char *mark = "+!#*@$"; *mark; mark++)
		CHECK(same(head(print("sh-1 3..... 1us%c: ", *mark)),
			   "sh/1 cpu 3 at 1000"));
	CHECK(same(head("sh-1 3..... 1us%: "), "/0 cpu -1 at -1"));
	CHECK(same(head("sh-1 3..... 1us: "), "sh/1 cpu 3 at 1000"));
	CHECK(same(head("sh-1 d..... 1us : "), "/0 cpu -1 at 1000"));
	CHECK(same(head("sh-1 65535... 1us : "), "/0 cpu -1 at 1000"));
	CHECK(same(head("sh-1 65534... 1us : "), "sh/1 cpu 65534 at 1000"));
	CHECK(same(head("sh-1 3..... xus : "), "sh/1 cpu 3 at -1"));
	/* 2^64 ns and more are not a time */
	CHECK(same(head("sh-1 3... 18446744073709550us : "),
		   "sh/1 cpu 3 at -1616"));
	CHECK(same(head("sh-1 3... 18446744073709551us : "),
		   "sh/1 cpu 3 at -1"));
	CHECK(same(head(" : "), "/0 cpu -1 at -1"));
	CHECK(same(head(":"), "/0 cpu -1 at -1"));
}

/* TASK PID CPU FLAGS PREEMPT INDEX [TIME in hex] ... (+...) */
TEST(verbose_latency_format_prints_hexadecimal_microseconds)
{
	CHECK(same(head("   worker     101   7 0 00000000 00000001 "
			"[25265633] 13.384ms (+0.246ms): "),
		   "worker/101 cpu 7 at 623269427000"));
	CHECK(same(head("  a b     101   7 0 00000000 00000001 "
			"[00000001] 13.384ms (+0.246ms): "),
		   "a b/101 cpu 7 at 1000"));
	CHECK(same(head("sh 1 7 0 0 1 [4189374bc6a7ed] 1ms (+0ms): "),
		   "sh/1 cpu 7 at -2616"));
	CHECK(same(head("sh 1 7 0 0 1 [4189374bc6a7ee] 1ms (+0ms): "),
		   "sh/1 cpu 7 at -1616"));
	CHECK(same(head("sh 1 7 0 0 1 [4189374bc6a7ef] 1ms (+0ms): "),
		   "sh/1 cpu 7 at -1"));
	CHECK(same(head("sh 1 7 0 0 1 [x] 1ms (+0ms): "),
		   "sh/1 cpu 7 at -1"));
	CHECK(same(head("sh 1 7 0 0 1 1 1ms (+0ms): "), "sh/1 cpu 7 at -1"));
	CHECK(same(head("sh 1 7 0 0 1 0001 1ms (+0ms): "), "sh/1 cpu 7 at -1"));
	CHECK(same(head("sh 1 x 0 0 1 [1] 1ms (+0ms): "), "/0 cpu -1 at 1000"));
	CHECK(same(head("sh 1 65535 0 0 1 [1] 1ms (+0ms): "),
		   "/0 cpu -1 at 1000"));
	CHECK(same(head("sh 1 65534 0 0 1 [1] 1ms (+0ms): "),
		   "sh/1 cpu 65534 at 1000"));
	CHECK(same(head("ms):"), "/0 cpu -1 at -1"));
}

/* trace-cmd report -l */
TEST(the_cpu_may_stand_before_the_flags_with_seconds_too)
{
	CHECK(same(head("      sh-101     3d..1   924.758057: "),
		   "sh/101 cpu 3 at 924758057000"));
	CHECK(same(head("      sh-101     d..1   924.758057: "),
		   "/0 cpu -1 at 924758057000"));
}

/* TASK_COMM_LEN is 16, with the zero at the end */
TEST(names_of_tasks_have_any_characters)
{
	static const char *const names[] = {
		"ksoftirqd/0", "kworker/u8:0-ev", "a-b-c", "a b c", "5", "1-2",
		"3/4", "<idle>", "<...>", "x[7]", "7.5:", "(sd-pam)", "a=b",
		"0123456789abcde", "percpu_free_x", ":12", "->", "/",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		const char *expected = print("%s/42 cpu 1 at 5000000000",
					     names[i]);

		CHECK(same(head(print("%s-42 [001] ..... 5.0: ", names[i])),
			   expected));
		CHECK(same(head(print("  %s    42 [001] 5.0: ", names[i])),
			   expected));
		CHECK(same(head(print("5000.0 %s/42 ", names[i])),
			   print("%s/42 cpu -1 at 5000000000", names[i])));
	}
}

TEST(before_a_name_may_be_the_prefix_of_a_log)
{
	CHECK(same(head("Nov 26 17:43:24 host ftrace[40321]: "),
		   "/0 cpu -1 at -1"));
	CHECK(same(head("Nov 26 17:43:24 host ftrace[40321]:     sh-7 "
			"[001] ..... 5.5: "), "sh/7 cpu 1 at 5500000000"));
	CHECK(same(head("2026-01-01T00:00:00.1Z stdout F sh-7 [001] 5.5: "),
		   "sh/7 cpu 1 at 5500000000"));
	/* 16 bytes are no name */
	CHECK(same(head("0 23456789abcdef-7 [001] 5.5: "),
		   "23456789abcdef/7 cpu 1 at 5500000000"));
	CHECK(same(head("0 23456789abcde-7 [001] 5.5: "),
		   "0 23456789abcde/7 cpu 1 at 5500000000"));
}

TEST(a_task_needs_a_number_of_32_bits)
{
	CHECK(same(head("x-4294967295 [000] 1.0: "), "x/-1 cpu 0 at 1000000000"));
	CHECK(same(head("x-4294967296 [000] 1.0: "), "/0 cpu 0 at 1000000000"));
	CHECK(same(head("x- [000] 1.0: "), "/0 cpu 0 at 1000000000"));
	/* longer than what is remembered */
	CHECK(same(head("00000000000000000000000000000000000000000000000000"
			"00000000000000000000000000000000000000000000000000"
			"00000000000000000000000000000000000000000000000000"
			" [000] 1.0: "), "/0 cpu 0 at 1000000000"));
	CHECK(same(head("12 [000] 1.0: "), "/0 cpu 0 at 1000000000"));
	CHECK(same(head("x12 [000] 1.0: "), "/0 cpu 0 at 1000000000"));
	CHECK(same(head("[000] 1.0: "), "/0 cpu 0 at 1000000000"));
	CHECK(same(head("x\t12 [000] 1.0: "), "x/12 cpu 0 at 1000000000"));
}

TEST(a_cpu_is_a_number_in_brackets)
{
	CHECK(same(head("x-1 [63] ..... 1.0: "), "x/1 cpu 63 at 1000000000"));
	CHECK(same(head("x-1 [65534] 1.0: "), "x/1 cpu 65534 at 1000000000"));
	CHECK(same(head("x-1 [65535] 1.0: "), "/0 cpu -1 at 1000000000"));
	CHECK(same(head("x-1 [] 1.0: "), "/0 cpu -1 at 1000000000"));
	CHECK(same(head("x-1 [no] 1.0: "), "/0 cpu -1 at 1000000000"));
	CHECK(same(head("x-1 [00 1.0: "), "/0 cpu -1 at 1000000000"));
	CHECK(same(head("x-1 a00] 1.0: "), "/0 cpu -1 at 1000000000"));
	CHECK(same(head("x y[7] 1 [002] 1.0: "), "x y[7]/1 cpu 2 at 1000000000"));
}

static long long time_of(const char *word)
{
	const char *text = head(print("x-1 [000] %s: ", word));

	return atoll(strstr(text, " at ") + 4);
}

TEST(a_time_has_up_to_nine_digits_after_its_point)
{
	CHECK(time_of("5.25") == 5250000000);
	CHECK(time_of("5.000001") == 5000001000);
	CHECK(time_of("5.123456789") == 5123456789);
	CHECK(time_of("5.1234567890") == -1);
	CHECK(time_of("0.0") == 0);
	for (long long time = 100000000, digits = 1; time; time /= 10, digits++)
		CHECK(time_of(print("5.%0*d", (int)digits, 1)) ==
		      5000000000 + time);
	CHECK(time_of("5.") == -1 && time_of(".5") == -1);
	CHECK(time_of("x5.5") == -1 && time_of("5.5x") == -1);
	CHECK(time_of("5,5") == -1);
	CHECK(time_of("5.x") == -1 && time_of("5./") == -1);
	CHECK(time_of("[000]5.5") == -1);
	CHECK((uint64_t)time_of("18446744072.999999999") ==
	      18446744072999999999u);
	CHECK(time_of("18446744073.0") == -1);
	CHECK(time_of("100000000000000000000.0") == -1);
}

/* ftrace's clocks "counter" and "x86-tsc"; the task and the CPU are read */
TEST(ticks_of_unknown_length_are_no_time)
{
	CHECK(same(head("x-1 [002] d..1 123456789: "), "x/1 cpu 2 at -1"));
	/* trace-cmd */
	CHECK(same(head("bash-7 [002]96012954085269: "), "bash/7 cpu 2 at -1"));
	CHECK(same(head("bash-7 [002]96012954085269x: "), "/0 cpu -1 at -1"));
	CHECK(same(head("bash-7 [002]: "), "/0 cpu -1 at -1"));
}

/* the parts before the time are often those of the line before */
TEST(equal_prefixes_have_equal_numbers)
{
	static const char *const lines[] = {
		"x-1 [002] d..1 1.5: ", "x-1 [002] d..1 2.5: ",
		"y-1 [002] d..1 3.5: ", "x-1 [002] d..1 4.5: ", "5.5: ",
	};
	static const char *const expected[] = {
		"x/1 cpu 2 at 1500000000", "x/1 cpu 2 at 2500000000",
		"y/1 cpu 2 at 3500000000", "x/1 cpu 2 at 4500000000",
		"/0 cpu -1 at 5500000000",
	};
	static const uint64_t numbers[] = { 1, 1, 2, 3, 4 };
	struct trace_head head;

	memset(&prefix, 0, sizeof(prefix));
	for (size_t i = 0; i < COUNT(lines); i++) {
		trace_head_parse((struct span){
			lines[i], lines[i] + strlen(lines[i]),
		}, &prefix, &head);
		CHECK(same(show(&head), expected[i]));
		CHECK(head.prefix == numbers[i]);
	}
}

/* 128 bytes are remembered, longer prefixes are read each time */
TEST(prefixes_of_any_length_are_read)
{
	char text[300];

	for (int n = 100; n < 160; n++) {
		struct trace_head head;

		memset(text, 'x', sizeof(text));
		memset(&prefix, 0, sizeof(prefix));
		memcpy(text + n - 12, " sh-7 [001] 5.5:", 16);
		trace_head_parse((struct span){ text, text + n + 4 }, &prefix,
				 &head);
		CHECK(same(show(&head), "sh/7 cpu 1 at 5500000000"));
		CHECK(head.prefix == (n <= 128));
	}
}
