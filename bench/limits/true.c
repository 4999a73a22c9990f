/* The smallest program that ends well; linked statically, so that its start is the kernel's alone. */
int main(void)
{
    return 0;
}
