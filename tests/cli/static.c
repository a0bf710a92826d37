/*
 * static.c - a program that no preloaded library reaches.
 */
int main(void)
{
    return 0;
}
