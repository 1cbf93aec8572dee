#include "api/client/svg.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

void svg_append_escaped(struct buf *svg, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        /* U+FFFE and U+FFFF, which are no characters */
        if (c == 0xef && (unsigned char)text[1] == 0xbf && (unsigned char)text[2] >= 0xbe) {
            buf_append_text(svg, REPLACEMENT);
            text += 2;
        } else if (c == '&') {
            buf_append_text(svg, "&amp;");
        } else if (c == '<') {
            buf_append_text(svg, "&lt;");
        } else if (c == '>') {
            buf_append_text(svg, "&gt;");
        } else if (c == '"') {
            buf_append_text(svg, "&quot;");
        } else if (c < 0x20 && !strchr("\t\n\r", c)) {
            buf_append_text(svg, REPLACEMENT);
        } else {
            buf_append_char(svg, *text);
        }
    }
}

void svg_text(struct buf *svg, double x, double y, const char *anchor, const char *class, const char *text)
{
    buf_appendf(svg, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class);
    svg_append_escaped(svg, text);
    buf_append_text(svg, "</text>\n");
}

void svg_text_upright(struct buf *svg, double x, double y, const char *class, const char *text)
{
    buf_appendf(svg,
                "<text transform=\"translate(%.2f %.2f) rotate(-90)\" text-anchor=\"middle\" class=\"%s\">",
                x, y, class);
    svg_append_escaped(svg, text);
    buf_append_text(svg, "</text>\n");
}

void svg_line(struct buf *svg, double x1, double y1, double x2, double y2, const char *class)
{
    buf_appendf(svg, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" class=\"%s\"/>\n", x1, y1, x2, y2,
                class);
}

void svg_rect(struct buf *svg, double x, double y, double width, double height, const char *class)
{
    buf_appendf(svg, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" class=\"%s\"/>\n", x, y,
                width, height, class);
}

void svg_circle(struct buf *svg, double x, double y, double radius, const char *class)
{
    buf_appendf(svg, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" class=\"%s\"/>\n", x, y, radius, class);
}

void svg_path(struct buf *svg, const struct svg_point *points, size_t count, const char *class)
{
    if (count < 2)
        return;
    buf_appendf(svg, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < count; i++)
        buf_appendf(svg, "%s%.2f %.2f", i ? "L" : "M", points[i].x, points[i].y);
    buf_append_text(svg, "\"/>\n");
}
