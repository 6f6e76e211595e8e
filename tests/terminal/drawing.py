"""Draws what a monitor of processes would: colours, frames, bars, wide characters, a log below."""

import curses
import locale
import time

locale.setlocale(locale.LC_ALL, "")


def draw(screen):
    curses.start_color()
    curses.use_default_colors()
    for number in range(1, 8):
        curses.init_pair(number, number, -1)
    curses.init_pair(8, curses.COLOR_BLACK, curses.COLOR_GREEN)
    curses.curs_set(0)
    curses.mousemask(curses.ALL_MOUSE_EVENTS)
    for row in range(4):
        screen.addstr(row, 1, f"{row}[", curses.A_BOLD)
        screen.addstr("|" * (10 + 5 * row), curses.color_pair(row + 1))
        screen.addstr(row, 50, f"{row * 7.3:.1f}%]")
    screen.attron(curses.color_pair(8))
    screen.addstr(5, 0, "  PID USER      CPU%  COMMAND".ljust(79))
    screen.attroff(curses.color_pair(8))
    frame = screen.derwin(6, 40, 7, 20)
    frame.box()
    frame.addstr(1, 2, "日本語 wide 🙂 é", curses.A_UNDERLINE)
    frame.addstr(2, 2, "faint", curses.A_DIM)
    frame.addstr(3, 2, "reversed", curses.A_REVERSE | curses.color_pair(3))
    frame.addstr(4, 2, "blinking, italic", curses.A_BLINK | curses.A_ITALIC)
    log = screen.derwin(8, 80, 15, 0)
    log.scrollok(True)
    log.setscrreg(1, 6)
    for number in range(30):
        log.addstr(f"line {number} of the log\n", curses.color_pair(number % 8))
        log.refresh()
    screen.addstr(23, 0, "drawn")
    screen.refresh()
    time.sleep(60)


curses.wrapper(draw)
